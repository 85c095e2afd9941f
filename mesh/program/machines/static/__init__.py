"""Servers that are there already, as a provider: the mesh comes to them, and leaves them as they were."""

from mesh.program.machines.static.provider import Static

__all__ = ["Static"]
