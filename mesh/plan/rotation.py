"""Which keys the mesh has: the numbers in the stack file, and the version of each key that they come to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mesh.settings import Settings

__all__ = ["FIRST_VERSION", "RotationPlan", "key_version", "plan_rotation"]

FIRST_VERSION: Final = 1
"""The version every key starts with; a key is replaced when its version changes."""


@dataclass(frozen=True, kw_only=True)
class RotationPlan:
    """The numbers of a mesh that rotates its keys.

    `mesh` is the number for all nodes, `nodes` has those of nodes with a number of their own, `preshared` is
    the version of the root of the pre-shared keys, `ssh` that of the management key and of all host keys.
    `out` are the nodes that take no part, `revoked` those of them whose key is not trusted any more. `own`
    are the nodes that make their keys themselves. Keys older than `max_age` days are too old; None: no key
    is.
    """

    mesh: int
    nodes: Mapping[str, int]
    preshared: int
    ssh: int
    out: tuple[str, ...]
    revoked: tuple[str, ...]
    own: tuple[str, ...] = ()
    max_age: int | None = None


def key_version(mesh: int, node: int) -> int:
    """Return the version of a node's WireGuard key: it rises whenever one of the two numbers does."""
    return mesh + node - FIRST_VERSION


def plan_rotation(settings: Settings) -> RotationPlan | None:
    """Return the numbers of a mesh; None where it does not rotate its keys."""
    if settings.rotation is None:
        return None
    nodes = settings.nodes
    return RotationPlan(
        mesh=settings.rotation.generation,
        nodes={
            name: nodes[name].generation for name in sorted(nodes) if nodes[name].generation != FIRST_VERSION
        },
        preshared=settings.rotation.preshared,
        ssh=settings.rotation.ssh,
        out=tuple(name for name in sorted(nodes) if not nodes[name].enabled),
        revoked=tuple(name for name in sorted(nodes) if nodes[name].revoked),
        own=tuple(name for name in sorted(nodes) if nodes[name].key_source == "node"),
        max_age=settings.rotation.max_age,
    )
