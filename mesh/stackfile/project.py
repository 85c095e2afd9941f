"""The project and the stack that a stack file belongs to, by the names of files."""

import re
from pathlib import Path
from typing import Final

from mesh.stackfile.syntax import NotYamlError
from mesh.stackfile.tree import read_yaml

__all__ = ["project_file", "project_of", "stack_of"]

_FILES: Final = ("Pulumi.yaml", "Pulumi.yml")
_STACK_FILE: Final = re.compile(r"Pulumi\.(.+?)(\.example)?\.ya?ml")


def project_file(folder: Path) -> Path | None:
    """Return the nearest `Pulumi.yaml`, in a folder or above; None without one."""
    for each in (folder, *folder.parents):
        for name in _FILES:
            if (each / name).is_file():
                return each / name
    return None


def project_of(stack_file: Path) -> str | None:
    """Return the name in a stack file's project: the namespace of the mesh's key; None without one."""
    path = project_file(stack_file.absolute().parent)
    if path is None:
        return None
    try:
        found = read_yaml(path.read_text()).get("name")
    except (OSError, ValueError, NotYamlError):
        return None
    return found.scalar if found is not None and isinstance(found.scalar, str) else None


def stack_of(stack_file: Path) -> str | None:
    """Return the stack that a file, or an example, is named after; None of another name."""
    name = _STACK_FILE.fullmatch(stack_file.name)
    return None if name is None else name[1]
