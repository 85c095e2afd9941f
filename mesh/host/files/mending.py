"""Files that can be made again: what is wrong with them in a generation's folder, and putting it right."""

from __future__ import annotations

import os
import stat

from ..system.run import write_file
from .others import keep_aside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["damage", "mend"]

_MODE = 0o600


def damage(folder: Path, contents: Mapping[str, bytes]) -> dict[str, str]:
    """Say what is wrong with the files of a folder, by name; any others in it are no concern."""
    found = {name: _damage(folder / name, content) for name, content in contents.items()}
    return {name: words for name, words in found.items() if words}


def _damage(path: Path, content: bytes) -> str:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return "no file"
        if path.read_bytes() != content:
            return "other content"
    except OSError as error:
        return error.strerror or "unreadable"
    owner = (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
    return "" if owner and stat.S_IMODE(status.st_mode) == _MODE else "other mode or owner"


def mend(folder: Path, contents: Mapping[str, bytes]) -> dict[str, str]:
    """Write every file that is not what it should be; returns what was wrong, by name. Raises `OSError`."""
    found = damage(folder, contents)
    for name in found:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            keep_aside(path, "by-hand")
        write_file(path, contents[name], _MODE)
    return found
