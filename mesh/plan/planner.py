"""Every decision that turns settings into a plan."""

import hashlib
from typing import Final

from mesh.plan.model import MeshPlan, NodePlan
from mesh.plan.policy import check_policy_tests, plan_ingress, ssh_sources
from mesh.settings import PortRange, Settings

__all__ = ["firewall_name", "plan_mesh"]

# 1500 on the internet less WireGuard's 80 with IPv6 outside (40 IPv6, 8 UDP, 32 WireGuard): safe on
# either family, and what wg-quick computes itself (wireguard-tools, src/wg-quick/linux.bash).
_INTERNET_MTU: Final = 1500 - 80
# Opens NAT and stateful firewalls in time, and makes a restarted node shake hands at once
# (wireguard.com/quickstart, "NAT and Firewall Traversal Persistence").
_KEEPALIVE: Final = 25
_GROUP_SIZE: Final = 10  # servers in a spread placement group, Hetzner Cloud documentation
_PSK_EPOCH: Final = 1
_FIREWALL_NAME_LENGTH: Final = 48  # readable, and with the stack's name before it within the cloud's limit


def plan_mesh(settings: Settings) -> MeshPlan:
    """Decide what every node should be. The same settings give the same plan, whatever their order.

    Raises `PlanError` when a test of the policy fails.
    """
    check_policy_tests(settings)
    by_address = sorted(settings.nodes, key=lambda name: settings.nodes[name].address)
    nodes = {name: _plan_node(name, by_address, settings) for name in by_address}
    firewalls = {node.firewall: node.public for node in nodes.values()}
    return MeshPlan(
        port=settings.port,
        ssh_port=settings.ssh.port,
        canary=settings.rollout.canary,
        nodes=nodes,
        firewalls=dict(sorted(firewalls.items())),
        placement_groups=tuple(sorted({node.placement_group for node in nodes.values()})),
    )


def _plan_node(name: str, by_address: list[str], settings: Settings) -> NodePlan:
    node = settings.nodes[name]
    public = tuple(sorted(node.public, key=lambda port: (port.protocol, port.first)))
    ssh_from, ssh_mesh = ssh_sources(settings)
    return NodePlan(
        name=name,
        enabled=node.enabled,
        address=node.address,
        network=settings.cidr,
        port=settings.port,
        mtu=_INTERNET_MTU if settings.mtu == "auto" else settings.mtu,
        keepalive=_KEEPALIVE,
        peers=tuple(
            peer for peer in by_address if peer != name and node.enabled and settings.nodes[peer].enabled
        ),
        ssh_port=settings.ssh.port,
        ssh_from=ssh_from,
        ssh_mesh=ssh_mesh,
        authorized_keys=settings.ssh.authorized_keys,
        public=public,
        ingress=plan_ingress(settings, name),
        trusted_interfaces=tuple(sorted(set(node.trusted_interfaces))),
        metadata=node.metadata,
        forward=node.forward,
        location=node.location,
        type=node.type,
        image=node.image,
        firewall=firewall_name(public),
        placement_group=(int(node.address) - int(settings.cidr.network_address)) // _GROUP_SIZE,
        psk_epoch=_PSK_EPOCH,
    )


def firewall_name(ports: tuple[PortRange, ...]) -> str:
    """Name a firewall after what it lets in, so that it stays the same whoever else comes or goes."""
    if not ports:
        return "private"
    name = "-".join(f"{port.protocol}{port.range_text.replace('-', 'to')}" for port in ports)
    if len(name) <= _FIREWALL_NAME_LENGTH:
        return name
    return f"ports-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
