"""Who makes a node's WireGuard key, and what is left of the other way where that has changed."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from mesh.names import COMMAND, IDENTITY, OWN_KEY, STASH
from mesh.plan import NodePlan, fingerprint
from mesh.program.access import committed_doors
from mesh.program.previous import Previous
from mesh.remote import read_own_key

__all__ = ["KeySource", "key_source", "made_own_key"]


@dataclass(frozen=True, kw_only=True)
class KeySource:
    """Whether the node makes its key, and whether the resource of the `former` way stays declared.

    That is so until the node has committed the other key. Steps of the node depend on that resource in the
    state until then, and with `--continue-on-error` the engine would delete it although they were skipped:
    they would name a resource that is gone, and no run could read the state any more.
    """

    own: bool
    former: bool


def key_source(node: NodePlan, before: Previous) -> KeySource:
    """Return who makes a node's key, given the state."""
    other = (STASH, IDENTITY) if node.makes_key else (COMMAND, OWN_KEY)
    kind, part = other
    if not before.has_part(kind, node.name, part):
        return KeySource(own=node.makes_key, former=False)
    doors = committed_doors(before, node.name)
    wanted = _name(node, before)
    return KeySource(own=node.makes_key, former=wanted is None or doors is None or doors.private != wanted)


def made_own_key(before: Previous, names: Sequence[str]) -> bool:
    """Whether the state says that a node made its key itself; `names` are those that the node may have."""
    return any(before.has(COMMAND, f"{name}-{OWN_KEY}") for name in names)


def _name(node: NodePlan, before: Previous) -> str | None:
    """Return the fingerprint that the state has of the key which is wanted now."""
    if node.makes_key:
        answer = before.part(COMMAND, node.name, OWN_KEY).get("stdout")
        made = read_own_key(answer) if isinstance(answer, str) else None
        return made.name if made else None
    kept = before.part(STASH, node.name, IDENTITY).get("output")
    return fingerprint(base64.b64decode(kept)) if isinstance(kept, str) else None
