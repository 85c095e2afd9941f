"""Pure: spread groups, chosen by address, and kept by servers whose nodes got another one since."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from mesh.plan import NodePlan
from mesh.settings import Problem

__all__ = ["full_groups", "group_number", "group_of"]

_MOST: Final = 10  # servers in a spread group, Hetzner Cloud documentation


def group_number(address: IPv4Address | IPv6Address, network: IPv4Network | IPv6Network) -> int:
    """Return the number of the group of an address: ten neighbours share one, and a new node moves nobody."""
    return (int(address) - int(network.network_address)) // _MOST


def group_of(node: NodePlan) -> int:
    """Return the number of a node's group."""
    first = node.overlay.first
    return group_number(first.ip, first.network)


def full_groups(nodes: Mapping[str, NodePlan], members: Mapping[str, int]) -> Iterator[Problem]:
    """Yield the nodes whose server would be the eleventh of its group.

    `members` has the group that each server is in that is there and stays; the other nodes get one now.
    """
    count: dict[int, int] = {}
    for name, group in members.items():
        if name in nodes:
            count[group] = count.get(group, 0) + 1
    for name, node in nodes.items():
        if name in members:
            continue
        group = group_of(node)
        count[group] = count.get(group, 0) + 1
        if count[group] > _MOST:
            stayed = ", ".join(
                other
                for other, kept in members.items()
                if kept == group and other in nodes and group_of(nodes[other]) != group
            )
            yield Problem(
                path=f"mesh.nodes.{name}.address",
                message=(
                    f"{node.overlay.first.ip} would make {name} the eleventh server of its placement group, "
                    f"which has room for {_MOST}: {stayed} got another address, but stayed in this group; "
                    f"choose an address of another block of ten"
                ),
            )
