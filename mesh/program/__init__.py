"""The Pulumi side: one component for the mesh, one for each node. The only place that imports pulumi."""

from mesh.program.mesh import Mesh

__all__ = ["Mesh"]
