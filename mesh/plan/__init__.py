"""Pure: from settings to what every node should be. No Pulumi, no network, no disk."""

from mesh.plan.access import AccessPlan
from mesh.plan.clients import ClientPlan
from mesh.plan.keys import fingerprint, preshared_key
from mesh.plan.model import MeshPlan, NodePlan
from mesh.plan.networks import NetworkPlan
from mesh.plan.overlay import OverlayPlan
from mesh.plan.paths import Path
from mesh.plan.peers import PeerPlan, Relayed
from mesh.plan.planner import plan_mesh
from mesh.plan.policy import Ingress
from mesh.plan.policy_tests import PlanError
from mesh.plan.rotation import FIRST_VERSION, RotationPlan, key_version
from mesh.plan.routes import RoutePlan

__all__ = [
    "FIRST_VERSION",
    "AccessPlan",
    "ClientPlan",
    "Ingress",
    "MeshPlan",
    "NetworkPlan",
    "NodePlan",
    "OverlayPlan",
    "Path",
    "PeerPlan",
    "PlanError",
    "Relayed",
    "RotationPlan",
    "RoutePlan",
    "fingerprint",
    "key_version",
    "plan_mesh",
    "preshared_key",
]
