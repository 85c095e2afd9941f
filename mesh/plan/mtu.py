"""How large a packet may be between two nodes: below the mesh, and inside the tunnel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from mesh.plan.paths import path_between
from mesh.settings import OVERHEAD, Settings

__all__ = ["INTERNET", "PRIVATE", "Underlay", "interface_mtu", "underlay_mtu", "underlay_of"]

INTERNET: Final = 1500
"""Bytes of a packet that the internet carries."""

PRIVATE: Final = 1450
"""Bytes of a packet that a private network at Hetzner carries (docs.hetzner.com/cloud/networks/faq)."""

# Below this Linux turns IPv6 off on an interface (RFC 8200, section 5; net/ipv6/addrconf.c).
_INTERFACE_LEAST: Final = 1280


@dataclass(frozen=True, kw_only=True)
class Underlay:
    """What carries the packets of a pair: `mtu` bytes at most, of which `overhead` are WireGuard's."""

    mtu: int
    overhead: int

    @property
    def inside(self) -> int:
        """Bytes that fit into the tunnel."""
        return self.mtu - self.overhead


class _Pair(Protocol):
    @property
    def mtu(self) -> int: ...


def underlay_of(settings: Settings, viewer: str, name: str) -> Underlay:
    """Return what is between two nodes; the same in both directions."""
    return Underlay(mtu=underlay_mtu(settings, viewer, name), overhead=OVERHEAD)


def underlay_mtu(settings: Settings, viewer: str, name: str) -> int:
    """Return the bytes that the network below carries between two nodes: the smaller number of both ends."""
    ends = (settings.nodes[node].underlay_mtu for node in (viewer, name))
    path = path_between(settings, viewer, name)
    usual = INTERNET if path is None or path.network is None else PRIVATE
    return min(usual if end is None else end for end in ends)


def interface_mtu(pairs: Sequence[_Pair]) -> int:
    """Return the MTU of a node's interface: of its widest pair; a narrower pair has a route with its own.

    Never less than IPv6 needs, so that other programs can use IPv6 on the interface.
    """
    widest = max((pair.mtu for pair in pairs), default=INTERNET - OVERHEAD)
    return max(widest, _INTERFACE_LEAST)
