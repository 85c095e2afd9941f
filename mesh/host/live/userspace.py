"""A userspace WireGuard that does not answer: a daemon that is stopped or hangs, which `wg` waits for."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from ..system.run import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..tunnel import Tunnel

__all__ = ["kill_hanging_daemon"]

# Seconds: it answers from memory.
_ANSWER = 2.0


def kill_hanging_daemon(tunnel: Tunnel) -> bool:
    """Kill the daemon of our interface if it does not answer; returns whether there was one to kill."""
    if not tunnel.socket.is_socket() or _answers(tunnel):
        return False
    killed = list(_daemons(tunnel))
    for pid in killed:
        log(f"the userspace WireGuard of {tunnel.interface}, process {pid}, does not answer: killing it")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(killed)


def _answers(tunnel: Tunnel) -> bool:
    """Ask as `wg show` does (WireGuard's cross-platform interface, `get=1`)."""
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        asked.settimeout(_ANSWER)
        try:
            asked.connect(str(tunnel.socket))
            asked.sendall(b"get=1\n\n")
            return bool(asked.recv(1))
        except OSError:
            return False


def _daemons(tunnel: Tunnel) -> Iterator[int]:
    """Find the processes that serve an interface of this name in this network namespace."""
    here = Path("/proc/self/ns/net").readlink()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            serves = Path(words[0]).name == "wireguard-go" and tunnel.interface in words
            if serves and (folder / "ns/net").readlink() == here:
                yield int(folder.name)
