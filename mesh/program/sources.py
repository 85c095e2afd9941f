"""Who makes a node's WireGuard key, and what is left of the other way where that has changed."""

import base64
from dataclasses import dataclass

from mesh.names import COMMAND, IDENTITY, OWN_KEY, ROTATION, STASH
from mesh.plan import NodePlan, fingerprint
from mesh.program.access import committed_doors
from mesh.program.generations import generations_of
from mesh.program.previous import Previous
from mesh.remote import OwnKey, read_own_key

__all__ = ["KeySource", "MadeKey", "key_source", "made_key"]


@dataclass(frozen=True, kw_only=True)
class MadeKey:
    """A key that a node has made itself, as the state has it: on which server, and which version."""

    key: OwnKey
    server: object
    version: int


@dataclass(frozen=True, kw_only=True)
class KeySource:
    """Whether the node makes its key, and whether the resource of the `former` way stays declared.

    That is so until the node has committed the other key. Steps of the node depend on that resource in the
    state until then, and with `--continue-on-error` the engine would delete it although they were skipped:
    they would name a resource that is gone, and no run could read the state any more.

    `made` is the key that the state has of a node that makes its own, `version` that of a key in the state.
    """

    own: bool
    former: bool
    made: MadeKey | None
    version: int


def key_source(node: NodePlan, before: Previous) -> KeySource:
    """Return who makes a node's key, given the state. A node that takes no part keeps what it has."""
    kept, made = before.has_part(STASH, node.name, IDENTITY), before.has_part(COMMAND, node.name, OWN_KEY)
    own = node.makes_key if node.enabled or not (kept or made) else made
    former = (kept if own else made) and not _in_force(node, before, own=own)
    return KeySource(
        own=own,
        former=former,
        made=made_key(node, before),
        version=_settled(node, before) if own else node.key_version,
    )


def _in_force(node: NodePlan, before: Previous, *, own: bool) -> bool:
    """Whether the node has committed the key of this source that the state has."""
    doors = committed_doors(before, node.name)
    name = _name(node, before, own=own)
    return name is not None and doors is not None and doors.private == name


def _settled(node: NodePlan, before: Previous) -> int:
    """Return the version of the key that the state had before the node made its own."""
    return generations_of(before.record(STASH, ROTATION).get("input")).version((node.name, *node.former))


def made_key(node: NodePlan, before: Previous) -> MadeKey | None:
    """Return the key that a node has made itself, as far as the state knows one."""
    record = before.part(COMMAND, node.name, OWN_KEY)
    answer, triggers = record.get("stdout"), list(record.get("triggers") or [])
    key = read_own_key(answer) if isinstance(answer, str) else None
    if key is None or len(triggers) != 2:
        return None
    return MadeKey(key=key, server=triggers[0], version=int(triggers[1]))


def _name(node: NodePlan, before: Previous, *, own: bool) -> str | None:
    """Return the fingerprint of the key of a source that the state has."""
    if own:
        made = made_key(node, before)
        return made.key.name if made else None
    kept = before.part(STASH, node.name, IDENTITY).get("output")
    return fingerprint(base64.b64decode(kept)) if isinstance(kept, str) else None
