"""Pure: from settings to what every node should be. No Pulumi, no network, no disk."""

from mesh.plan.keys import KeyNames, fingerprint, preshared_key
from mesh.plan.model import MeshPlan, NodePlan
from mesh.plan.planner import plan_mesh

__all__ = ["KeyNames", "MeshPlan", "NodePlan", "fingerprint", "plan_mesh", "preshared_key"]
