"""Pure: from settings to what every node should be. No Pulumi, no network, no disk."""

from mesh.plan.keys import KeyNames, fingerprint, preshared_key
from mesh.plan.model import MeshPlan, NodePlan
from mesh.plan.planner import firewall_name, plan_mesh
from mesh.plan.policy import Ingress, PlanError

__all__ = [
    "Ingress",
    "KeyNames",
    "MeshPlan",
    "NodePlan",
    "PlanError",
    "fingerprint",
    "firewall_name",
    "plan_mesh",
    "preshared_key",
]
