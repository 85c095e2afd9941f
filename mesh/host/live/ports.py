"""Whether WireGuard can have its UDP port."""

from __future__ import annotations

from pathlib import Path

from ..answers import AgentError, Answer
from ..files.document import WG_CONF
from ..system.run import attempt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..tunnel import Tunnel

__all__ = ["require_free_port", "taken_ports"]

_TABLES = (Path("/proc/net/udp"), Path("/proc/net/udp6"))


def taken_ports(table: str) -> set[int]:
    """Return the local ports in a table of UDP sockets (proc_net_udp(5): `sl local_address ...` in hex)."""
    return {int(line.split()[1].rpartition(":")[2], 16) for line in table.splitlines()[1:] if line.strip()}


def require_free_port(tunnel: Tunnel, wanted: int) -> None:
    """Refuse a port that something else than our interface listens on. Raises `AgentError`."""
    if not any(wanted in taken_ports(table.read_text()) for table in _TABLES if table.exists()):
        return
    if (attempt(["wg", "show", tunnel.interface, "listen-port"]) or "").strip() != str(wanted):
        raise AgentError(
            Answer.REFUSED,
            f"{WG_CONF}: another program on this host uses UDP port {wanted} (`ss -lunp` names the "
            f"program): stop it, or give the mesh another port",
        )
