"""The private network that a node is in, and its address there."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from mesh.settings import Settings
from mesh.settings.attached import network_address

__all__ = ["NetworkPlan", "plan_network"]


@dataclass(frozen=True, kw_only=True)
class NetworkPlan:
    """A private network, and one node's `address` in it.

    A network that is `existing` is never changed; `zone` is where the provider makes another one.
    """

    name: str
    cidr: IPv4Network
    existing: bool
    zone: str
    address: IPv4Address


def plan_network(settings: Settings, name: str) -> NetworkPlan | None:
    """Return the private network of a node; None of one that is in none."""
    called = settings.nodes[name].network
    address = network_address(settings, name)
    if called is None or address is None:
        return None
    network = settings.networks[called]
    return NetworkPlan(
        name=called, cidr=network.cidr, existing=network.existing, zone=network.zone, address=address
    )
