"""What a mesh and each of its nodes should be, decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from mesh.settings import PublicPort

__all__ = ["MeshPlan", "NodePlan"]


@dataclass(frozen=True, kw_only=True)
class NodePlan:
    """One node.

    `port` is UDP, `mtu` in bytes, `keepalive` in seconds, `peers` are names in the order of their
    addresses, `firewall` names the node's cloud firewall, `placement_group` numbers its spread group,
    `psk_epoch` counts the generations of pre-shared keys.
    """

    name: str
    address: IPv4Address
    network: IPv4Network
    port: int
    mtu: int
    keepalive: int
    peers: tuple[str, ...]
    ssh_from: tuple[IPv4Network | IPv6Network, ...]
    authorized_keys: tuple[str, ...]
    public: tuple[PublicPort, ...]
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

    `firewalls` maps the name of a cloud firewall to the public ports behind it.
    """

    port: int
    nodes: Mapping[str, NodePlan]
    firewalls: Mapping[str, tuple[PublicPort, ...]]
    placement_groups: tuple[int, ...]
