"""Who may come in to a node, and what may pass through it."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from mesh.plan.policy import Ingress, plan_ingress, ssh_sources
from mesh.settings import PortRange, Settings

__all__ = ["AccessPlan", "plan_access"]


@dataclass(frozen=True, kw_only=True)
class AccessPlan:
    """What one node lets in.

    `ssh_port` is TCP, `ssh_from` are networks outside the mesh and `ssh_mesh` those inside it that may open
    SSH, `public` the ports that everybody may use, `ingress` is what peers may do to it (None: everything).
    Packets pass through a node that does `forward`.
    """

    ssh_port: int
    ssh_from: tuple[IPv4Network | IPv6Network, ...]
    ssh_mesh: tuple[IPv4Network | IPv6Network, ...]
    authorized_keys: tuple[str, ...]
    public: tuple[PortRange, ...]
    ingress: tuple[Ingress, ...] | None
    trusted_interfaces: tuple[str, ...]
    metadata: Literal["root", "containers"]
    forward: bool


def plan_access(settings: Settings, name: str) -> AccessPlan:
    """Decide who may come in to a node."""
    node = settings.nodes[name]
    ssh_from, ssh_mesh = ssh_sources(settings)
    return AccessPlan(
        ssh_port=settings.ssh.port,
        ssh_from=ssh_from,
        ssh_mesh=ssh_mesh,
        authorized_keys=settings.ssh.authorized_keys,
        public=tuple(sorted(node.public, key=lambda port: (port.protocol, port.first))),
        ingress=plan_ingress(settings, name),
        trusted_interfaces=tuple(sorted(set(node.trusted_interfaces))),
        metadata=node.metadata,
        forward=node.forward,
    )
