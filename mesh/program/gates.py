"""What must be open on the way to each node, so that a provider's firewall never shuts a door still needed.

Such a firewall and the node's own table are two gates in a row, moved by different hands: that one at once,
this one when the node commits. So it must hold what is wanted and what the nodes behind it have.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mesh.plan import MeshPlan, NodePlan
from mesh.program.access import Access
from mesh.settings import PortRange

__all__ = ["Gate", "plan_gates"]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a node needs: the public ports, SSH's TCP ports and WireGuard's UDP ports.

    `next_ports` are those on which nodes meet while their keys are replaced, always open in a mesh that does.

    `former` are the public ports that it has committed, None before its first commit: until it has other
    ones, those stay open, too.
    """

    public: tuple[PortRange, ...]
    former: tuple[PortRange, ...] | None
    ssh_ports: tuple[int, ...]
    ports: tuple[int, ...]
    next_ports: tuple[int, ...] = ()


def plan_gates(plan: MeshPlan, access: Mapping[str, Access]) -> dict[str, Gate]:
    """Return what each node needs, by its name."""
    return {name: _gate(node, access[name]) for name, node in plan.nodes.items()}


def _gate(node: NodePlan, access: Access) -> Gate:
    doors = access.committed.doors if access.committed else None
    ports = tuple(sorted(_ports(node, access)))
    # what the node has committed stays open with it: its keys may be being replaced on this very port
    second = {node.overlay.next_port, doors.next_port if doors else None} if ports else set()
    return Gate(
        public=node.access.public,
        former=doors.public if doors else None,
        ssh_ports=tuple(sorted(_ssh_ports(node, access))),
        ports=ports,
        next_ports=tuple(sorted(each for each in second if each is not None)),
    )


def _all_private(node: NodePlan) -> bool:
    return bool(node.peers) and all(peer.path.network is not None for peer in node.peers)


def _ssh_ports(node: NodePlan, access: Access) -> set[int]:
    if access.committed and not node.enabled:
        return {node.access.ssh_port, *access.committed.ssh_ports}
    return {node.access.ssh_port, access.port}


def _ports(node: NodePlan, access: Access) -> set[int]:
    """Return the ports that peers use over the internet: none where all of them are in its network."""
    if node.enabled and _all_private(node) and not access.reached_outside:
        return set()
    if access.committed and access.committed.doors and not node.enabled:
        return {node.overlay.port, *access.committed.doors.ports}
    return {node.overlay.port, access.endpoint_port, *access.moving.ports}
