"""A node inside the tunnel: its addresses in every family, the networks behind it, port and MTU."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, ip_interface

from mesh.names import INTERFACE
from mesh.plan.mtu import interface_mtu
from mesh.plan.peers import PeerPlan, addresses_of, networks_of
from mesh.settings import Settings, next_port

__all__ = ["OverlayPlan", "plan_overlay"]


@dataclass(frozen=True, kw_only=True)
class OverlayPlan:
    """The tunnel of one node.

    `addresses` has one address for each family, with the network that is reached through the tunnel; the
    first one stands for the node where there is room for one. `port` is UDP, `mtu` in bytes. `held` are
    former addresses that the node keeps beside them, see `mesh.plan.held`. `next_port` is the UDP port of the
    second interface, which is there while keys are replaced; None in a mesh without rotation.
    """

    interface: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    port: int
    mtu: int
    held: tuple[IPv4Interface | IPv6Interface, ...] = ()
    next_port: int | None = None

    @property
    def address6(self) -> IPv6Address | None:
        """The node's IPv6 address; None in a mesh that has IPv4 addresses only."""
        return next((each.ip for each in self.addresses if isinstance(each, IPv6Interface)), None)

    @property
    def first(self) -> IPv4Interface | IPv6Interface:
        """The address that stands for the node."""
        return self.addresses[0]


def plan_overlay(settings: Settings, name: str, peers: Sequence[PeerPlan]) -> OverlayPlan:
    """Decide a node's side of the tunnel; of its pairs the one with the largest MTU decides."""
    return OverlayPlan(
        interface=INTERFACE,
        addresses=tuple(
            ip_interface((address, network.prefixlen))
            for address, network in zip(addresses_of(settings, name), networks_of(settings), strict=True)
        ),
        port=settings.port,
        mtu=interface_mtu(peers) if settings.mtu == "auto" else settings.mtu,
        next_port=None if settings.rotation is None else next_port(settings.port),
    )
