"""What a mesh and each of its nodes should be, decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Literal

from mesh.plan.policy import Ingress
from mesh.settings import PortRange

__all__ = ["MeshPlan", "NodePlan"]


@dataclass(frozen=True, kw_only=True)
class NodePlan:
    """One node.

    `port` is UDP, `mtu` in bytes, `keepalive` in seconds, `peers` are names in the order of their
    addresses, `ssh_from` are networks outside the mesh and `ssh_mesh` those inside it, `ingress` is what
    peers may do to it (None: everything), `firewall` names the node's cloud firewall, `placement_group`
    numbers its spread group, `psk_epoch` is the version of the pre-shared keys. A node that is not
    `enabled` has no peers and is nobody's.
    """

    name: str
    enabled: bool
    address: IPv4Address
    network: IPv4Network
    port: int
    mtu: int
    keepalive: int
    peers: tuple[str, ...]
    ssh_port: int
    ssh_from: tuple[IPv4Network | IPv6Network, ...]
    ssh_mesh: tuple[IPv4Network, ...]
    authorized_keys: tuple[str, ...]
    public: tuple[PortRange, ...]
    ingress: tuple[Ingress, ...] | None
    trusted_interfaces: tuple[str, ...]
    metadata: Literal["root", "containers"]
    forward: bool
    location: str
    type: str
    image: str
    firewall: str
    placement_group: int
    psk_epoch: int


@dataclass(frozen=True, kw_only=True)
class MeshPlan:
    """The whole mesh: nodes in the order of their addresses, and what several of them share.

    `firewalls` maps the name of a cloud firewall to the public ports behind it; the other nodes wait for
    `canary`.
    """

    port: int
    ssh_port: int
    canary: str | None
    nodes: Mapping[str, NodePlan]
    firewalls: Mapping[str, tuple[PortRange, ...]]
    placement_groups: tuple[int, ...]
