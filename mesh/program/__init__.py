"""The Pulumi side: one component for the mesh, one for each node. The only place that imports pulumi."""

from mesh.program.mesh import Mesh
from mesh.program.previous import read_previous

__all__ = ["Mesh", "read_previous"]
