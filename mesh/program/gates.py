"""What each cloud firewall lets in, so that it never shuts a door that a node still needs.

The cloud's firewall and the node's own table are two gates in a row, moved by different hands: this one at
once, that one when the node commits. So this one holds what is wanted and what the nodes behind it have.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from mesh.plan import MeshPlan, NodePlan
from mesh.plan.hetzner import firewall_name, firewall_of, firewalls
from mesh.program.access import Access
from mesh.program.previous import Previous
from mesh.settings import PortRange

__all__ = ["Gate", "plan_gates"]

_FIREWALL: Final = "hcloud:index/firewall:Firewall"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One cloud firewall: the public ports it is named after, SSH's TCP ports and WireGuard's UDP ports."""

    public: tuple[PortRange, ...]
    ssh_ports: tuple[int, ...]
    ports: tuple[int, ...]


def plan_gates(plan: MeshPlan, access: Mapping[str, Access], previous: Previous) -> dict[str, Gate]:
    """Return the cloud firewalls by name: those that are wanted, and those that a server may still be in.

    The state knows a server's firewall by the files its node has committed: those come after the server has
    changed over.
    """
    found = firewalls(plan)
    ssh_ports: dict[str, set[int]] = {name: set() for name in found}
    ports: dict[str, set[int]] = {name: set() for name in found}
    for name, node in plan.nodes.items():
        for firewall, public in _firewalls(node, access[name], previous):
            found.setdefault(firewall, public)
            ssh_ports.setdefault(firewall, set()).update(_ssh_ports(node, access[name]))
            ports.setdefault(firewall, set()).update(_ports(node, access[name]))
    return {
        name: Gate(
            public=found[name], ssh_ports=tuple(sorted(ssh_ports[name])), ports=tuple(sorted(ports[name]))
        )
        for name in sorted(found)
    }


def _firewalls(
    node: NodePlan, access: Access, previous: Previous
) -> Iterator[tuple[str, tuple[PortRange, ...]]]:
    yield firewall_of(node), node.access.public
    if access.committed and access.committed.doors:
        public = access.committed.doors.public
        name = firewall_name(public)
        if name != firewall_of(node) and previous.has(_FIREWALL, f"firewall-{name}"):
            yield name, public


def _ssh_ports(node: NodePlan, access: Access) -> set[int]:
    if access.committed and not node.enabled:
        return {node.access.ssh_port, *access.committed.ssh_ports}
    return {node.access.ssh_port, access.port}


def _ports(node: NodePlan, access: Access) -> set[int]:
    if access.committed and access.committed.doors and not node.enabled:
        return {node.overlay.port, *access.committed.doors.ports}
    return {node.overlay.port, access.endpoint_port, *access.moving.ports}
