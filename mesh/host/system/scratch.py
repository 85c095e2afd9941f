"""Network namespaces made for one question: run something in one, and be gone without a trace."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
from pathlib import Path

from ..answers import AgentError
from .run import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Optional

__all__ = ["isolated", "new_network"]

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CHUNK = 1 << 16
_NO_IPV6 = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")


def isolated(work: Callable[[], Any], *, seconds: float) -> Optional[Any]:
    """Run `work` in a process and network namespace of its own; None when it fails or hangs."""
    reader, writer = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _child(work, writer, parent)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], seconds)
    raw = b"".join(iter(lambda: os.read(reader, _CHUNK), b"")) if ready else b""
    os.close(reader)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return json.loads(raw) if raw else None


def _child(work: Callable[[], Any], writer: int, parent: int) -> None:
    """Do the work in a namespace of its own, hand over its result and end without a trace."""
    try:
        os.setpgid(0, 0)
        new_network(parent)
        with os.fdopen(writer, "wb") as out:
            out.write(json.dumps(work()).encode())
    except (AgentError, OSError, ValueError) as error:
        log(f"lock-out proof: {error}")
    finally:
        os._exit(0)


def new_network(parent: int) -> None:
    """Enter a fresh network namespace, with IPv6, and die with the parent: a fork holds its lock, too."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before that took hold
        raise OSError("the process that asked is gone")
    if libc.unshare(_CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    with contextlib.suppress(OSError):
        _NO_IPV6.write_text("0\n")
