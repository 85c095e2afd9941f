"""The Pulumi side: one component for the mesh, one for each node. The only place that imports pulumi."""

from mesh.program.ending import run
from mesh.program.machines import KINDS, PROVIDERS
from mesh.program.mesh import Mesh
from mesh.program.stackfile import stack_settings

__all__ = ["KINDS", "PROVIDERS", "Mesh", "run", "stack_settings"]
