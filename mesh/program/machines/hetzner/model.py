"""What the stack file wishes of a node's server."""

from mesh.plan import NodePlan
from mesh.settings.machines import HetznerMachine

__all__ = ["wanted"]


def wanted(node: NodePlan) -> HetznerMachine:
    """Return what a node's server is to be made of."""
    assert isinstance(node.machine, HetznerMachine)
    return node.machine
