"""Pure: the address of each node in its private network."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from mesh.settings.models import Settings
from mesh.settings.networks import Network

__all__ = ["free_addresses", "gateway", "network_address"]


def gateway(network: Network) -> IPv4Address:
    """Return the address that belongs to the network itself (API document of Hetzner, subnets: gateway)."""
    return network.cidr[1]


def network_address(settings: Settings, name: str) -> IPv4Address | None:
    """Return a node's address in its private network: its own, or its host part of the mesh's network there.

    None where it is in no network, and where its host part does not fit in.
    """
    node = settings.nodes[name]
    network = settings.networks.get(node.network or "")
    if network is None:
        return None
    if node.network_address is not None:
        return node.network_address
    host = int(node.address) - int(settings.cidr.network_address)
    return network.cidr[host] if host < network.cidr.num_addresses - 1 else None


def free_addresses(settings: Settings, network: str) -> Iterator[IPv4Address]:
    """Yield the addresses of a network that no node has, the highest first."""
    cidr = settings.networks[network].cidr
    taken = set(_taken(settings, network))
    candidates = (cidr[index] for index in range(cidr.num_addresses - 2, 1, -1))
    return (each for each in candidates if each not in taken)


def _taken(settings: Settings, network: str) -> Iterator[IPv4Address]:
    for name, node in settings.nodes.items():
        own = network_address(settings, name) if node.network == network else None
        if own is not None:
            yield own
