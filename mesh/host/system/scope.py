"""A process that goes on by itself: out of its session, in a unit of systemd's that it has alone."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from ..answers import AgentError
from .run import log
from .systemd import take_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["fork_into_scope"]

# Nobody isolates it (`systemctl isolate`, and what it stops first, sysinit.target).
_PROPERTIES = (
    ("DefaultDependencies", ("b", False)),
    ("IgnoreOnIsolate", ("b", True)),
    ("CollectMode", ("s", "inactive-or-failed")),
)
# Seconds for systemd to take the process over; it needs milliseconds.
_MOVED = 5.0
_POLL = 0.005
_SIGKILL = 9  # signal(7): the module would cost more than it helps
_OF_SESSION = ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")


def fork_into_scope(unit: str, work: Callable[[], None]) -> bool:
    """Do `work` in a copy of this process, in the scope `unit`; does not wait for its end.

    The copy has no open file, no session and no terminal of this process, nor the lock. False, with nothing
    begun and a word in the journal, where systemd does not take it over.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _go_on(reader, work)
    os.close(reader)
    try:
        _move(unit, pid)
        os.write(writer, b"!")
    except (AgentError, OSError) as error:
        log(f"{unit}.scope cannot be had: {error}")
        os.kill(pid, _SIGKILL)
        os.waitpid(pid, 0)
        return False
    finally:
        os.close(writer)
    return True


def _move(unit: str, pid: int) -> None:
    """Have systemd take a process over, and see that it did. Raises `AgentError`, `OSError`."""
    take_over(f"{unit}.scope", pid, _PROPERTIES)
    groups = Path(f"/proc/{pid}/cgroup")
    end = time.monotonic() + _MOVED
    while f"/{unit}.scope" not in groups.read_text():
        if time.monotonic() > end:
            raise OSError(f"systemd did not take over process {pid} within {_MOVED:.0f} s")
        time.sleep(_POLL)


def _go_on(reader: int, work: Callable[[], None]) -> None:
    """Wait for the word that this process has its own unit, then work; never returns.

    Where the other process ends before, there is no such word, and nothing is done.
    """
    try:
        _let_go(reader)
        if os.read(reader, 1):
            os.close(reader)
            work()
    except (AgentError, OSError) as error:
        log(str(error))
    finally:
        os._exit(0)


def _let_go(kept: int) -> None:
    """Leave the session, its terminal, its working directory and all open files but one."""
    os.setsid()
    os.chdir("/")
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not paths
        if int(name) != kept:
            with contextlib.suppress(OSError):  # the listing's own
                os.close(int(name))
    for _stream in range(3):
        os.open(os.devnull, os.O_RDWR)
    for name in _OF_SESSION:
        os.environ.pop(name, None)
