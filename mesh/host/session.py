"""When the SSH session began that this process runs in."""

import os
from pathlib import Path
from typing import Optional

from .lock import process_start

__all__ = ["session_start"]

# OpenSSH 9.8 split the server: the process of a session has had its own program since.
_SERVERS = {"sshd", "sshd-session"}


def session_start() -> Optional[float]:
    """Return when the connection came in, in seconds since boot; None when not under sshd.

    It is the start of the nearest sshd process above this one, which sshd makes when it accepts a
    connection. A multiplexed session has the old connection's. Resolution: one clock tick (10 ms),
    rounded down.
    """
    pid = os.getppid()
    while pid > 1:
        name, parent = _name_and_parent(pid)
        if name in _SERVERS:
            ticks = process_start(pid)
            return None if ticks is None else ticks / os.sysconf("SC_CLK_TCK")
        pid = parent
    return None


def _name_and_parent(pid: int) -> tuple[str, int]:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "", 0
    before, _, after = stat.rpartition(")")
    return before.partition("(")[2], int(after.split()[1])
