"""The labels of what a mesh has in the cloud."""

from mesh.names import FIRST_MESH
from mesh.program.machines.base import Site
from mesh.program.machines.hetzner.api import MESH_LABEL, NODE_LABEL, STACK_LABEL

__all__ = ["labels"]


def labels(site: Site, node: str | None = None) -> dict[str, str]:
    """Return the labels of a resource of this mesh, or of one of its nodes."""
    own = {STACK_LABEL: site.stack}
    if site.names.mesh != FIRST_MESH:
        own[MESH_LABEL] = site.names.mesh
    return own if node is None else {**own, NODE_LABEL: node}
