"""What a mesh and each of its nodes should be, decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh.plan.access import AccessPlan
from mesh.plan.clients import ClientPlan
from mesh.plan.networks import NetworkPlan
from mesh.plan.overlay import OverlayPlan
from mesh.plan.peers import PeerPlan
from mesh.plan.rotation import FIRST_VERSION, RotationPlan
from mesh.settings import Model

__all__ = ["MeshPlan", "NodePlan"]


@dataclass(frozen=True, kw_only=True)
class NodePlan:
    """One node: its side of the tunnel, who may come in, its server, and its pairs.

    `machine` is what its server is made of, in the words of its `provider`. `peers` are in the order of their
    addresses. A node that is not `enabled` has no peers and is nobody's. `reaches` are the names of the nodes
    that it has a path to once all are enabled; None: all others. `protect` is whether its server,
    address and keys are protected against deletion. `former` are the names that it had before,
    `oldest_name` is the oldest of all: its pre-shared keys are derived from that. `network` is the private
    network that it is in, `key_version` the version of its WireGuard key, and
    `makes_key` whether the node itself makes that key.
    """

    name: str
    former: tuple[str, ...]
    oldest_name: str
    enabled: bool
    protect: bool
    overlay: OverlayPlan
    access: AccessPlan
    provider: str
    machine: Model
    peers: tuple[PeerPlan, ...]
    reaches: tuple[str, ...] | None
    network: NetworkPlan | None = None
    key_version: int = FIRST_VERSION
    makes_key: bool = False

    @property
    def egress(self) -> str | None:
        """The node over which this one reaches the IPv4 internet; None where there is none."""
        return next((peer.name for peer in self.peers if peer.egress), None)


@dataclass(frozen=True, kw_only=True)
class MeshPlan:
    """The whole mesh: nodes and clients in the order of their addresses, and what all nodes share.

    `ssh_port` is TCP; the other nodes wait for `canary`. `rotation` is None where keys are not rotated.
    """

    ssh_port: int
    canary: str | None
    nodes: Mapping[str, NodePlan]
    clients: Mapping[str, ClientPlan] = field(default_factory=dict)
    rotation: RotationPlan | None = None

    @property
    def preshared_version(self) -> int:
        """The version of the root of the pre-shared keys."""
        return FIRST_VERSION if self.rotation is None else self.rotation.preshared

    @property
    def ssh_version(self) -> int:
        """The version of the management key, and of the host key of every node."""
        return FIRST_VERSION if self.rotation is None else self.rotation.ssh
