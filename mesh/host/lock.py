"""The lock that whoever changes anything holds, and the way to take it from a holder that hangs."""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from .answers import AgentError, Answer
from .places import Places
from .system import log

__all__ = ["BOOT_WAIT", "COMMAND_WAIT", "TRIAL_WAIT", "forced_lock", "lock", "process_start"]

# Seconds to wait for the lock.
COMMAND_WAIT = 10.0
"""Somebody waits for an answer, and can be told to try again."""
TRIAL_WAIT = 15.0
"""Longer than the command that armed a trial needs to end: nobody would start the trial again."""
BOOT_WAIT = 30.0
"""Nobody waits, and nobody would try again."""

_POLL = 0.05


def process_start(pid: int) -> Optional[int]:
    """Return when a process began, in clock ticks since boot; with the pid it names it for good."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


@contextlib.contextmanager
def lock(places: Places, *, wait: float) -> Iterator[None]:
    """Hold the lock; waits at most `wait` seconds. Raises `AgentError` (BUSY).

    The tools that are run do not inherit it: it is free as soon as its holder is dead.
    """
    handle = _open(places)
    try:
        if not _take(handle, wait):
            raise AgentError(Answer.BUSY, "another run is changing this node right now: try again")
        _sign(handle)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def forced_lock(places: Places, *, wait: float) -> Iterator[None]:
    """Hold the lock, killing its holder after `wait` seconds; goes on in any case after twice that."""
    handle = _open(places)
    try:
        if not _take(handle, wait):
            _kill_holder(handle)
            if not _take(handle, wait):
                log("going on without the lock: its holder does not die")
        _sign(handle)
        yield
    finally:
        os.close(handle)


def _open(places: Places) -> int:
    places.volatile.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _take(handle: int, wait: float) -> bool:
    end = time.monotonic() + wait
    while not _try_to_take(handle):
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL)
    return True


def _try_to_take(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(handle: int) -> None:
    with contextlib.suppress(OSError):  # on a full disk the lock must still be a lock
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} {process_start(os.getpid())}\n".encode(), 0)


def _kill_holder(handle: int) -> None:
    fields = os.pread(handle, 100, 0).decode(errors="replace").split()
    if len(fields) != 2 or not fields[0].isdigit():
        return
    pid = int(fields[0])
    if str(process_start(pid)) == fields[1] and pid != os.getpid():
        log(f"process {pid} holds the lock and hangs: killing it")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
