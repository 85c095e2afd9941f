"""Files of others, in which some lines are ours: rewritten with all that is theirs kept."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat

from ..answers import AgentError, Answer
from ..system.run import make_folder, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Optional

__all__ = ["keep_aside", "read_bytes", "rewrite", "why_locked"]

# ioctl_iflags(2): FS_IOC_GETFLAGS on 64-bit Linux; FS_IMMUTABLE_FL, FS_APPEND_FL.
_GET_FLAGS = 0x80086601
_FIXED = {
    0x10: "immutable (`chattr -i {path}` ends that)",
    0x20: "append-only (`chattr -a {path}` ends that)",
}


def read_bytes(path: Path) -> Optional[bytes]:
    """Return what a file holds, None when there is none. Raises `OSError`."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def why_locked(path: Path) -> Optional[str]:
    """Say why not even root may rewrite a file, or make it where there is none; None when root may."""
    path = path.resolve()
    for place in (path, path.parent):
        try:
            handle = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        flags = bytearray(8)
        try:
            with contextlib.suppress(OSError):  # a file system without such flags
                fcntl.ioctl(handle, _GET_FLAGS, flags)
        finally:
            os.close(handle)
        for flag, words in _FIXED.items():
            if int.from_bytes(flags[:4], "little") & flag:
                return f"{place} is {words.format(path=place)}"
        if os.statvfs(place).f_flag & os.ST_RDONLY:
            return f"{place} is on a file system that is mounted read-only"
    return None


def rewrite(path: Path, content: bytes, *, mode_if_new: int) -> None:
    """Give a file another content and keep all else: owner, mode, ACL, attributes, its other names.

    A symlink is followed. In one step that a power loss cannot halve, but for a file that has several names
    or is mounted by itself: that one is written where it is. Raises `OSError`, and `AgentError` (FAILED)
    for a file that is locked.
    """
    path = path.resolve()
    locked = why_locked(path)
    if locked is not None:
        raise AgentError(Answer.FAILED, locked)
    if not path.exists():
        make_folder(path.parent, 0o700)
        write_file(path, content, mode_if_new)
        return
    if path.stat().st_nlink > 1:
        _overwrite(path, content)
        return
    try:
        write_file(path, content, stat.S_IMODE(path.stat().st_mode), like=path)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _overwrite(path, content)


def _overwrite(path: Path, content: bytes) -> None:
    """Write a file in place; there is room for all of it before the first byte changes."""
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(handle).st_size
        try:
            os.posix_fallocate(handle, 0, max(1, len(content)))
        except OSError:
            os.ftruncate(handle, size)
            raise
        with os.fdopen(os.dup(handle), "wb") as file:
            file.write(content)
        os.ftruncate(handle, len(content))
        os.fsync(handle)
    finally:
        os.close(handle)


def keep_aside(path: Path, suffix: str) -> Path:
    """Rename a file, link or folder out of our way as it is; returns its new path, one that was free."""
    kept, number = path.with_name(f"{path.name}.{suffix}"), 1
    while os.path.lexists(kept):
        number += 1
        kept = path.with_name(f"{path.name}.{suffix}.{number}")
    path.rename(kept)
    return kept
