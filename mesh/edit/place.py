"""Where a new node goes: behind its relatives in the file, and to the next free address."""

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from mesh.edit.errors import EditError
from mesh.settings.addresses import address, mesh_network
from mesh.settings.raw import read

__all__ = ["address_of", "network_of", "next_address", "relatives", "stem"]


def stem(name: str) -> str:
    """Return a name without the number at its end: `web` of `web-3`."""
    return re.sub(r"-?[0-9]+$", "", name)


def relatives(name: str, nodes: Iterable[str]) -> list[str]:
    """Return the nodes whose names differ from this one in the number at the end only."""
    return [node for node in nodes if stem(node) == stem(name)]


def next_address(cidr: IPv4Network, nodes: Mapping[str, Any], name: str) -> IPv4Address:
    """Return the lowest free address above those of a node's relatives, or of all nodes without relatives.

    Where none is free above, the lowest free one of the network. Raises `EditError` for a full network.
    """
    used = {found for node in nodes.values() if (found := address_of(node)) is not None}
    near = relatives(name, nodes)
    highest = max((found for node in near if (found := address_of(nodes[node])) is not None), default=None)
    start = int(highest or max(used, default=cidr.network_address)) + 1
    for first in (start, int(cidr.network_address) + 1):
        for number in range(first, int(cidr.broadcast_address)):
            if IPv4Address(number) not in used:
                return IPv4Address(number)
    raise EditError(
        f"mesh.cidr: {cidr} is full: all {cidr.num_addresses - 2} addresses have a node; remove a node, or "
        f"widen the network (docs/stack-file.md, cidr)"
    )


def network_of(mesh: Mapping[Any, Any]) -> IPv4Network:
    """Return the network of a mesh whose settings are right."""
    found = read(mesh_network, mesh.get("cidr"))
    assert found is not None
    return found


def address_of(node: Any) -> IPv4Address | None:
    """Return the address of a node as the file has it; None where it has none."""
    return read(address, node.get("address")) if isinstance(node, Mapping) else None
