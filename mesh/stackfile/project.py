"""The project that a stack file belongs to: its name is the namespace of the mesh's key."""

from pathlib import Path
from typing import Final

from mesh.stackfile.syntax import NotYamlError
from mesh.stackfile.tree import read_yaml

__all__ = ["project_of"]

_FILES: Final = ("Pulumi.yaml", "Pulumi.yml")


def project_of(stack_file: Path) -> str | None:
    """Return the name in the nearest `Pulumi.yaml`, in the file's folder or above; None without one."""
    for folder in stack_file.absolute().parents:
        for name in _FILES:
            path = folder / name
            if path.is_file():
                return _name(path)
    return None


def _name(path: Path) -> str | None:
    try:
        found = read_yaml(path.read_text()).get("name")
    except (OSError, ValueError, NotYamlError):
        return None
    return found.scalar if found is not None and isinstance(found.scalar, str) else None
