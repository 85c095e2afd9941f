"""Processes of the lab: told apart by pid and start time, ended with all they started."""

import os
import signal
import time
from pathlib import Path
from typing import Final

__all__ = ["children", "end", "is_alive", "start_time"]

_START_TIME_FIELD: Final = 19  # field 22 of /proc/<pid>/stat, counted after the command name (proc(5))


def start_time(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot; None when there is none or it is dead."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[_START_TIME_FIELD])


def is_alive(pid: int, started: int) -> bool:
    """Whether this very process, and not a later one with its number, is there."""
    return start_time(pid) == started


def children(pid: int) -> list[int]:
    """Return the processes a process has started."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in task.read_text().split()]
        except OSError:
            continue
    return found


def end(pid: int, started: int, *, number: int = signal.SIGKILL, wait: float = 10) -> bool:
    """Signal a process (0: not) and wait until it is gone; False if it is there after `wait` seconds."""
    if not is_alive(pid, started):
        return True
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return True
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        if not is_alive(pid, started):
            return True
        time.sleep(0.02)
    return False
