"""The control groups of hosts: one name per host, in every hierarchy that systemd uses.

A host's processes cannot leave its groups, so the groups know all of them, also after the processes
that started the host were killed.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["end_all", "join", "living"]

_ROOTS: Final = (
    Path("/sys/fs/cgroup/systemd"),
    Path("/sys/fs/cgroup/unified"),
    Path("/sys/fs/cgroup"),
)
"""Legacy, hybrid (which has both of systemd's own) and unified layout."""

_PATIENCE_SECONDS: Final = 10  # for killed processes to be gone; they are in milliseconds


def join(name: str) -> None:
    """Move into fresh groups, as two hosts in one would take each other's for theirs."""
    for root in _roots():
        folder = root / name
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.procs").write_text(str(os.getpid()))


def end_all(pattern: str) -> None:
    """Kill every process in the groups whose names match, and remove the groups.

    The caller is no member afterwards, and lives.
    """
    folders = [folder for root in _roots() for folder in root.glob(pattern)]
    for folder in folders:
        if os.getpid() in _members(folder):
            (folder.parent / "cgroup.procs").write_text(str(os.getpid()))
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        members = {pid for folder in folders for pid in _members(folder)}
        for pid in members:
            _kill(pid)
        left = [folder for folder in folders if not _remove(folder)]
        if not left:
            return
        time.sleep(0.01)


def living(pattern: str) -> set[str]:
    """Return the names of the groups that match and hold a process; a killed lab leaves empty ones."""
    return {folder.name for root in _roots() for folder in root.glob(pattern) if _members(folder)}


def _roots() -> Iterator[Path]:
    return (root for root in _ROOTS if (root / "cgroup.procs").exists())


def _members(folder: Path) -> set[int]:
    found: set[int] = set()
    for parent, _, _ in os.walk(folder):
        try:
            found.update(int(word) for word in Path(parent, "cgroup.procs").read_text().split())
        except OSError:  # removed meanwhile
            continue
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _remove(folder: Path) -> bool:
    """Remove a group and those in it; False while processes are still on their way out."""
    for parent, _, _ in os.walk(folder, topdown=False):
        try:
            Path(parent).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return not folder.exists()
