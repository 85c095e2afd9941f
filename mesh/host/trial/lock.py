"""The lock that whoever changes anything holds, and the way to take it from a holder that hangs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import time
from pathlib import Path

from ..answers import AgentError, Answer
from ..records import dataclass
from ..system.processes import process_fields, process_start
from ..system.run import log, since_boot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Optional

    from ..places import Places

__all__ = ["BOOT_WAIT", "COMMAND_WAIT", "OLD", "TRIAL_WAIT", "forced_lock", "lock"]

# Seconds to wait for the lock.
COMMAND_WAIT = 10.0
"""Somebody waits for an answer, and can be told to try again."""
TRIAL_WAIT = 15.0
"""Longer than the command that armed a trial needs to end: nobody would start the trial again."""
BOOT_WAIT = 30.0
"""Nobody waits, and nobody would try again."""

OLD = 120.0
"""Seconds after which a holder counts as hanging: as long as a command from afar may run at all."""
# Seconds a holder has to be seen stopped (SIGSTOP, or a debugger's hand) before that counts.
_STOPPED = 2.0
_DIES = 5.0
_POLL = 0.05


@dataclass(frozen=True)
class _Holder:
    """Who holds the lock: process, command, for how many seconds, and whether it is stopped.

    Of one that did not sign, the seconds are those since it began.
    """

    pid: int
    start: int
    command: str
    age: float
    stopped: bool

    @property
    def hangs(self) -> bool:
        """Whether nobody has to wait for it."""
        return self.stopped or self.age > OLD

    def __str__(self) -> str:
        manner = "stopped, " if self.stopped else ""
        return f"process {self.pid} ({self.command}, {manner}for {self.age:.0f} s)"


@contextlib.contextmanager
def lock(places: Places, *, wait: float, breaks: bool = True) -> Iterator[None]:
    """Hold the lock; waits at most `wait` seconds. Raises `AgentError` (BUSY), which names the holder.

    Where it `breaks` one, a holder that is stopped, or older than any command gets, is killed: what it
    leaves, the next run takes up. The tools that are run do not inherit the lock: it is free as soon as its
    holder is dead.
    """
    handle = _open(places)
    try:
        if not _take(handle, wait):
            holder = _holder(handle)
            if not breaks or holder is None or not holder.hangs or not _break(handle, holder):
                raise _busy(_holder(handle))
        _sign(handle)
        yield
    finally:
        os.close(handle)


def _busy(holder: Optional[_Holder]) -> AgentError:
    who = holder or "an unknown process"
    return AgentError(Answer.BUSY, f"another run is changing this node right now, {who}: try again")


@contextlib.contextmanager
def forced_lock(places: Places, *, wait: float) -> Iterator[None]:
    """Hold the lock, killing its holder after `wait` seconds; goes on without it rather than not at all."""
    try:
        handle = _open(places)
    except OSError as error:
        log(f"continuing without the lock: {error}")
        yield
        return
    try:
        if not _take(handle, wait):
            holder = _holder(handle)
            if holder is None or not _break(handle, holder):
                log(f"continuing without the lock: its holder does not die ({holder or 'unknown'})")
        _sign(handle)
        yield
    finally:
        os.close(handle)


def _open(places: Places) -> int:
    places.volatile.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _take(handle: int, wait: float) -> bool:
    """Take the lock within `wait` seconds; gives up early when its holder is stopped."""
    end = time.monotonic() + wait
    running = time.monotonic()
    while not _try_to_take(handle):
        now = time.monotonic()
        holder = _holder(handle)
        if holder is None or not holder.stopped:
            running = now
        if now >= end or now - running >= _STOPPED:
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
        os.pwrite(handle, f"{os.getpid()} {process_start(os.getpid())} {int(since_boot())}\n".encode(), 0)


def _holder(handle: int) -> Optional[_Holder]:
    signed, start, since = _signature(handle)
    pid = _locking_pid(handle) or signed
    fields = process_fields(pid)
    if not fields:
        return None
    began = int(fields[19])
    if (pid, began) != (signed, start):
        since = began / os.sysconf("SC_CLK_TCK")
    return _Holder(pid, began, _command(pid), since_boot() - since, fields[0] in "Tt")


def _signature(handle: int) -> tuple[int, int, float]:
    """Return who signed last: pid, start in clock ticks, seconds since boot; zeros when nobody has."""
    signed = re.match(rb"(\d+) (\d+) (\d+)\n", os.pread(handle, 100, 0))
    return (int(signed[1]), int(signed[2]), float(signed[3])) if signed else (0, 0, 0.0)


def _locking_pid(handle: int) -> int:
    """Return who holds the lock as the kernel knows it (proc_locks(5)), signed or not; 0 if unknown."""
    status = os.fstat(handle)
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if "->" not in fields and fields[1] == "FLOCK" and fields[5] == device and int(fields[4]) > 0:
                return int(fields[4])
    return 0


def _command(pid: int) -> str:
    """Return a process's command, the agent's as `wgmesh COMMAND`: no more, as arguments may be long."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "unknown"
    agent = next((index for index, word in enumerate(words) if word.endswith(".pyz")), None)
    if agent is not None:
        return " ".join(["wgmesh", *words[agent + 1 : agent + 2]]).strip()
    return Path(words[0]).name or "unknown"


def _break(handle: int, holder: _Holder) -> bool:
    """Kill the holder, by what names it for good, and take the lock; False when it does not die."""
    if holder.pid == os.getpid() or process_start(holder.pid) != holder.start:
        return _take(handle, _DIES)
    log(f"{holder} holds the lock and hangs: killing it")
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder.pid, signal.SIGKILL)
    return _take(handle, _DIES)
