"""Which stack file is meant, and how it is written: whole or not at all."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mesh.edit.errors import EditError
from mesh.stackfile.project import project_file, stack_of

__all__ = ["StackFile", "find", "find_named", "read", "write"]


@dataclass(frozen=True, kw_only=True)
class StackFile:
    """A stack's file; the stack's name and the project's, where they are known."""

    path: Path
    stack: str | None
    project: str | None


def find(folder: Path, stack: str | None, environment: Mapping[str, str]) -> StackFile:
    """Find the file of a stack of the project in a folder or above: no engine is asked.

    The stack is `stack`, or the one that PULUMI_STACK names, the one that is selected, or the only one that
    has a file. Raises `EditError`.
    """
    project = _project_file(folder)
    settings = _settings(project)
    name = settings.get("name")
    chosen = stack or environment.get("PULUMI_STACK") or _selected(project, settings, environment)
    config = settings.get("config")
    below = settings.get("stackConfigDir") or (config if isinstance(config, str) else ".")
    stacks = project.parent / str(below)
    known = _stacks(stacks)
    if chosen is None:
        if len(known) != 1:
            listed = ", ".join(known) or "none"
            raise EditError(
                f"no stack is selected; name one with --stack (with a file in {stacks}: {listed})"
            )
        chosen = known[0]
    short = chosen.rpartition("/")[2]
    path = stacks / f"Pulumi.{short}.yaml"
    if not path.is_file():
        listed = ", ".join(known) or "none"
        raise EditError(f"{path}: there is no such file; stacks with a file there: {listed}")
    return StackFile(path=path, stack=short, project=str(name) if name else None)


def find_named(path: Path) -> StackFile:
    """Take the file that a user names; its stack is known by a name such as Pulumi.prod.yaml."""
    if not path.is_file():
        raise EditError(f"{path}: there is no such file")
    return StackFile(path=path, stack=stack_of(path), project=None)


def read(path: Path) -> str:
    """Return the text of a file with the ends of its lines as they are. Raises `EditError`."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise EditError(f"{path}: {os.strerror(error.errno or 0)}") from None
    except UnicodeDecodeError as error:
        raise EditError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None


def write(path: Path, before: str, after: str) -> None:
    """Put another text into a file at once, with the file's mode and owner; a link stays a link.

    Raises `EditError` if the file has changed since it was read, or cannot be written.
    """
    real = path.resolve()
    if read(real) != before:
        raise EditError(f"{path}: has been changed by another program just now; run the command again")
    new: str | None = None
    try:
        former = real.stat()
        handle, new = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(after.encode())
            os.fchmod(file.fileno(), former.st_mode & 0o7777)
            if (former.st_uid, former.st_gid) != (os.geteuid(), os.getegid()) and os.geteuid() == 0:
                os.fchown(file.fileno(), former.st_uid, former.st_gid)
            file.flush()
            os.fsync(file.fileno())
        Path(new).replace(real)
    except OSError as error:
        if new is not None:
            Path(new).unlink(missing_ok=True)
        raise EditError(f"{path}: cannot be written: {os.strerror(error.errno or 0)}") from None


def _project_file(folder: Path) -> Path:
    found = project_file(folder)
    if found is None:
        raise EditError(
            f"no Pulumi.yaml in {folder} or above; go to the project's folder, or name a file with --file"
        )
    return found


def _settings(project: Path) -> Mapping[str, Any]:
    try:
        found = YAML(typ="safe", pure=True).load(read(project))
    except YAMLError:
        found = None
    if not isinstance(found, Mapping):
        raise EditError(f"{project}: is not a YAML mapping; name the stack file with --file")
    return found


def _selected(project: Path, settings: Mapping[str, Any], environment: Mapping[str, str]) -> str | None:
    """Return the stack that Pulumi has selected: it notes that under its home, by the path of the project.

    The note has a stack for each place where states are kept (pulumi/pulumi, pkg/workspace). None where
    several places have one, and neither project nor environment says which place counts.
    """
    kept = settings.get("backend")
    backend = environment.get("PULUMI_BACKEND_URL") or (kept.get("url") if isinstance(kept, dict) else None)
    name = settings.get("name")
    home = environment.get("PULUMI_HOME") or Path(environment.get("HOME") or "/") / ".pulumi"
    digest = hashlib.sha1(str(project).encode(), usedforsecurity=False).hexdigest()
    try:
        found = json.loads((Path(home) / "workspaces" / f"{name}-{digest}-workspace.json").read_text())
    except (OSError, ValueError):
        return None
    stacks = found.get("stacks") if isinstance(found, dict) else None
    if not isinstance(stacks, dict):
        return None
    if backend is not None:
        return stacks.get(backend)
    names = {str(stack) for stack in stacks.values()}
    return names.pop() if len(names) == 1 else None


def _stacks(folder: Path) -> list[str]:
    names = (path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in folder.glob("Pulumi.*.yaml"))
    return sorted(name for name in names if not name.endswith(".example"))
