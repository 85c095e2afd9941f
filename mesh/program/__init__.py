"""The Pulumi side: one component for the mesh, one for each node. The only place that imports pulumi."""

from mesh.program.ahead import look_ahead
from mesh.program.mesh import Mesh
from mesh.program.previous import read_previous
from mesh.program.stackfile import stack_settings

__all__ = ["Mesh", "look_ahead", "read_previous", "stack_settings"]
