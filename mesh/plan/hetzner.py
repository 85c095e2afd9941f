"""What of a plan only Hetzner Cloud asks for: a firewall and a spread group for each node."""

import hashlib
from typing import Final

from mesh.plan.model import MeshPlan, NodePlan
from mesh.settings import PortRange

__all__ = ["firewall_name", "firewall_of", "firewalls", "placement_group_of", "placement_groups"]

_GROUP_SIZE: Final = 10  # servers in a spread placement group, Hetzner Cloud documentation
_FIREWALL_NAME_LENGTH: Final = 48  # readable, and with the stack's name before it within the cloud's limit


def firewall_name(ports: tuple[PortRange, ...]) -> str:
    """Name a firewall after what it lets in, so that it stays the same whoever else comes or goes."""
    if not ports:
        return "private"
    name = "-".join(f"{port.protocol}{port.range_text.replace('-', 'to')}" for port in ports)
    if len(name) <= _FIREWALL_NAME_LENGTH:
        return name
    return f"ports-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def firewall_of(node: NodePlan) -> str:
    """Return the name of the firewall that a node's server is behind."""
    return firewall_name(node.access.public)


def firewalls(plan: MeshPlan) -> dict[str, tuple[PortRange, ...]]:
    """Return the firewalls of a mesh by name, in order, each with the public ports behind it."""
    return dict(sorted((firewall_of(node), node.access.public) for node in plan.nodes.values()))


def placement_group_of(node: NodePlan) -> int:
    """Return the number of a node's spread group: from its address, so that a new node moves nobody."""
    first = node.overlay.first
    return (int(first.ip) - int(first.network.network_address)) // _GROUP_SIZE


def placement_groups(plan: MeshPlan) -> tuple[int, ...]:
    """Return the numbers of the spread groups of a mesh, in order."""
    return tuple(sorted({placement_group_of(node) for node in plan.nodes.values()}))
