"""The SSH session that this process runs in: its ends, and when it began."""

from __future__ import annotations

import os
from pathlib import Path

from ..records import dataclass
from .processes import process_start
from .rtnetlink import addresses
from .run import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

__all__ = ["Session", "session_end", "session_start", "ssh_session"]

# OpenSSH 9.8 split the server: the process of a session has had its own program since.
_SERVERS = {"sshd", "sshd-session"}


@dataclass(frozen=True)
class Session:
    """A connection's ends: who came, to which address and port, through which interface."""

    client: str
    server: str
    port: int
    interface: str


def ssh_session() -> Optional[Session]:
    """Return this process's SSH connection, as sshd describes it.

    None without one, and, with a word in the journal, for one that came to an address which no interface
    has (say, one that the network translates).
    """
    fields = os.environ.get("SSH_CONNECTION", "").split()
    if len(fields) != 4:
        return None
    client, _port, server, port = fields
    for entry in addresses():
        if any(info["local"] == server for info in entry["addr_info"]):
            return Session(client, server, int(port), entry["ifname"])
    log(
        f"skipping the lock-out check: this SSH session's server address {server} is on no local interface "
        f"(NAT in front of the server?)"
    )
    return None


def session_end() -> Optional[tuple[str, int]]:
    """Return the address and port of this host that the session came to; None without one."""
    fields = os.environ.get("SSH_CONNECTION", "").split()
    return (fields[2], int(fields[3])) if len(fields) == 4 else None


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
