"""Where a new node goes: behind its relatives in the file, and to the next free address."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any

from mesh.edit.errors import EditError
from mesh.settings.addresses import address, mesh_network
from mesh.settings.addresses6 import address6, mesh_network6
from mesh.settings.raw import read

__all__ = ["address_of", "network6_of", "network_of", "next_address", "relatives", "stem"]


def stem(name: str) -> str:
    """Return a name without the number at its end: `web` of `web-3`."""
    return re.sub(r"-?[0-9]+$", "", name)


def relatives(name: str, nodes: Iterable[str]) -> list[str]:
    """Return the nodes whose names differ from this one in the number at the end only."""
    return [node for node in nodes if stem(node) == stem(name)]


def next_address(
    cidr: IPv4Network,
    nodes: Mapping[str, Any],
    name: str,
    cidr6: IPv6Network | None = None,
    devices: Collection[IPv4Address] = (),
) -> IPv4Address:
    """Return the lowest free address above those of a node's relatives, or of all nodes without relatives.

    Where none is free above, the lowest free one of the network. Its host part is free in the IPv6 network,
    too. `devices` are the addresses of clients, which are not free either.
    Raises `EditError` for a full network.
    """
    used = {found for node in nodes.values() if (found := address_of(node)) is not None}
    taken = {*used, *devices, *(cidr.network_address + host for host in _hosts6(cidr, cidr6, nodes))}
    near = relatives(name, nodes)
    highest = max((found for node in near if (found := address_of(nodes[node])) is not None), default=None)
    start = int(highest or max(used, default=cidr.network_address)) + 1
    for first in (start, int(cidr.network_address) + 1):
        for number in range(first, int(cidr.broadcast_address)):
            if IPv4Address(number) not in taken:
                return IPv4Address(number)
    raise EditError(
        f"mesh.cidr: {cidr} is full: all {cidr.num_addresses - 2} addresses are taken; remove a node, or "
        f"widen the network (docs/stack-file.md, cidr)"
    )


def _hosts6(cidr: IPv4Network, cidr6: IPv6Network | None, nodes: Mapping[str, Any]) -> Iterator[int]:
    """Yield the host parts of IPv6 addresses that nodes give themselves."""
    for node in nodes.values():
        own = read(address6, node.get("address6")) if isinstance(node, Mapping) else None
        if cidr6 is not None and own is not None and own in cidr6:
            host = int(own) - int(cidr6.network_address)
            if host < cidr.num_addresses:
                yield host


def network6_of(mesh: Mapping[Any, Any]) -> IPv6Network | None:
    """Return the IPv6 network of a mesh whose settings are right; None where it has none."""
    return read(mesh_network6, mesh["cidr6"]) if "cidr6" in mesh else None


def network_of(mesh: Mapping[Any, Any]) -> IPv4Network:
    """Return the network of a mesh whose settings are right."""
    found = read(mesh_network, mesh.get("cidr"))
    assert found is not None
    return found


def address_of(node: Any) -> IPv4Address | None:
    """Return the address of a node as the file has it; None where it has none."""
    return read(address, node.get("address")) if isinstance(node, Mapping) else None
