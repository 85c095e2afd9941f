"""Servers at Hetzner Cloud: all that is known of it, and its limits, is in this room."""

from mesh.program.machines.hetzner.provider import Hetzner

__all__ = ["Hetzner"]
