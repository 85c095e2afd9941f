"""Networks behind a node: who reaches them, and whether hosts there may begin connections to the mesh."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from mesh.plan.peers import routes_of
from mesh.plan.policy import Ingress, Policy, plan_ingress
from mesh.settings import Settings

__all__ = ["RoutePlan", "plan_routes"]


@dataclass(frozen=True, kw_only=True)
class RoutePlan:
    """One network behind a node.

    `member` is what the policy calls it. `ingress` is what others may do to hosts there (None: everything);
    `begins` is whether hosts there may begin connections to the mesh, where each target has its own rules.
    """

    member: str
    network: IPv4Network | IPv6Network
    ingress: tuple[Ingress, ...] | None
    begins: bool


def plan_routes(settings: Settings, policy: Policy | None, name: str) -> tuple[RoutePlan, ...]:
    """Decide for the networks behind a node; without a policy they are members of the mesh."""
    return tuple(
        RoutePlan(
            member=f"{network} behind {name}",
            network=network,
            ingress=plan_ingress(settings, policy, f"{network} behind {name}"),
            begins=policy is None or policy.begins(f"{network} behind {name}"),
        )
        for network in routes_of(settings, name)
    )
