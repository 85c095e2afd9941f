"""From settings to a plan: one node after the other, each part in a room of its own."""

from mesh.plan.access import plan_access
from mesh.plan.clients import plan_clients, with_clients
from mesh.plan.links import Links, plan_links
from mesh.plan.model import MeshPlan, NodePlan
from mesh.plan.networks import plan_network
from mesh.plan.overlay import plan_overlay
from mesh.plan.paths import check_paths
from mesh.plan.peers import PeerPlan, oldest_name, plan_peers
from mesh.plan.policy import Policy, plan_policy
from mesh.plan.policy_tests import check_policy_tests
from mesh.plan.rotation import FIRST_VERSION, key_version, plan_rotation
from mesh.settings import Settings

__all__ = ["plan_mesh"]


def plan_mesh(settings: Settings) -> MeshPlan:
    """Decide what every node should be. The same settings give the same plan, whatever their order.

    Raises `SettingsError` when two nodes have no path, `PlanError` when a test of the policy fails.
    """
    policy, links = plan_policy(settings), plan_links(settings)
    check_paths(settings, links)
    check_policy_tests(settings)
    return MeshPlan(
        ssh_port=settings.ssh.port,
        canary=settings.rollout.canary,
        nodes={
            name: _plan_node(settings, policy, links, name, peers)
            for name, peers in plan_peers(settings).items()
        },
        clients=plan_clients(settings),
        rotation=plan_rotation(settings),
    )


def _plan_node(
    settings: Settings, policy: Policy | None, links: Links, name: str, peers: tuple[PeerPlan, ...]
) -> NodePlan:
    node = settings.nodes[name]
    overlay = plan_overlay(settings, name, peers)
    return NodePlan(
        name=name,
        former=tuple(had for had in node.formerly if had != name),
        oldest_name=oldest_name(settings, name),
        enabled=node.enabled,
        protect=node.protect if "protect" in node.model_fields_set else settings.protect,
        overlay=overlay,
        access=plan_access(settings, policy, links, name),
        provider=node.provider,
        machine=node.machine,
        peers=with_clients(settings, name, peers, overlay.mtu),
        reaches=links.of(name, settings.nodes),
        network=plan_network(settings, name),
        key_version=FIRST_VERSION
        if settings.rotation is None
        else key_version(settings.rotation.generation, node.generation),
        makes_key=node.key_source == "node",
    )
