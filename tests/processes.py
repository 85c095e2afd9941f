"""Processes as /proc shows them."""

import signal
from collections.abc import Iterator
from pathlib import Path

__all__ = ["catches_interrupts", "processes_in"]

_INTERRUPT = 1 << (signal.SIGINT - 1)


def catches_interrupts(pid: int) -> bool:
    """Whether a process handles SIGINT itself (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.split("SigCgt:")[1].split()[0], 16) & _INTERRUPT)


def processes_in(folder: Path) -> Iterator[int]:
    """Yield the processes whose working directory this is."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve(strict=True) == folder.resolve():
                yield int(process.name)
        except OSError:  # gone, or somebody else's
            continue
