"""A tunnel of this host: what it is called everywhere."""

from __future__ import annotations

from pathlib import Path

from .records import dataclass

__all__ = ["NEXT", "WG0", "Tunnel", "tunnel_named"]


@dataclass(frozen=True)
class Tunnel:
    """A WireGuard interface, the unit that brings it up, and the file that people and wg-quick read."""

    interface: str
    unit: str
    conf: str

    @property
    def socket(self) -> Path:
        """Where a userspace WireGuard answers (WireGuard's cross-platform interface)."""
        return Path("/var/run/wireguard", f"{self.interface}.sock")


def tunnel_named(interface: str) -> Tunnel:
    """Return the tunnel of an interface, with the unit and the file that wg-quick(8) gives it."""
    return Tunnel(interface, f"wg-quick@{interface}.service", f"/etc/wireguard/{interface}.conf")


WG0 = tunnel_named("wg0")
"""The tunnel of the mesh."""

NEXT = Tunnel("wg0-next", "wgmesh-next.service", "")
"""The interface beside it that has the new keys while keys rotate; no file describes it."""
