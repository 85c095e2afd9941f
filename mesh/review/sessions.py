"""The sessions that get other keys: pairs of nodes whose public keys or pre-shared key change."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from mesh.names import COMMAND, IDENTITY, OWN_KEY, PRESHARED_ROOT, STASH
from mesh.render import UNKNOWN_TEXT
from mesh.review.elements import NotUnderstoodError
from mesh.review.files import Peer
from mesh.review.nodes import NodeChange
from mesh.review.preview import Preview
from mesh.review.reach import shown

__all__ = ["Pairs", "Sessions", "compare_sessions", "kept_peers", "new_roots"]

Pairs = set[tuple[str, str]]
"""Of names as people see them, each pair in order."""


@dataclass(kw_only=True)
class Sessions:
    """Pairs that stay and get other keys, by why.

    `nodes` get another key of their own. `perhaps` are pairs whose keys are not known before `up`. Of the
    pairs, those that are `interrupted` begin again, and the others go on: both ends rotate their keys.
    `devices` are clients whose configuration has a key that changes.
    """

    nodes: set[str] = field(default_factory=set)
    identity: Pairs = field(default_factory=set)
    preshared: Pairs = field(default_factory=set)
    perhaps: Pairs = field(default_factory=set)
    interrupted: Pairs = field(default_factory=set)
    devices: set[str] = field(default_factory=set)

    @property
    def pairs(self) -> Pairs:
        """All pairs that are sure to get other keys."""
        return self.identity | self.preshared


def new_roots(preview: Preview) -> frozenset[str]:
    """Return the meshes, by prefix, in which all pre-shared keys change."""
    names = [step.name for step in preview.steps if step.state.type == STASH and step.op == "replace"]
    prefixes = (name.rpartition(".") for name in names)
    return frozenset(prefix for prefix, _, name in prefixes if name == PRESHARED_ROOT)


def compare_sessions(
    nodes: Mapping[str, NodeChange], roots: Collection[str] = (), off: Collection[str] = ()
) -> Sessions:
    """Compare the peers that each node has before and after; `roots` are meshes as `new_roots` has them.

    `off` are nodes, as people see them, whose servers end or are switched off: so do their sessions.
    """
    found = Sessions()
    replaced = {(node.mesh, node.name) for node in nodes.values() if _new_identity(node)}
    renamed = {(node.mesh, node.former): node.name for node in nodes.values()}
    for node in nodes.values():
        for name, before, after in kept_peers(node, renamed):
            if after.client and _rotates(node) and before.public_key == after.public_key:
                _add_device(found, node, before, after)
                continue
            pair = _pair(shown(node.mesh, node.name), shown(node.mesh, name))
            if before.public_key != after.public_key:
                sure = after.public_key != UNKNOWN_TEXT or (node.mesh, name) in replaced
                (found.identity if sure else found.perhaps).add(pair)
                if sure:
                    found.nodes.add(shown(node.mesh, name))
            if before.preshared != after.preshared:
                sure = UNKNOWN_TEXT not in {before.preshared, after.preshared} or node.mesh in roots
                (found.preshared if sure else found.perhaps).add(pair)
            same_names = node.former == node.name and before.name == after.name
            if after.client or not (_rotates(node) and same_names):
                found.interrupted.add(pair)
    found.perhaps -= found.pairs
    found.interrupted |= {pair for pair in found.pairs | found.perhaps if not set(pair).isdisjoint(off)}
    return found


def _pair(one: str, other: str) -> tuple[str, str]:
    first, second = sorted((one, other))
    return first, second


def _new_identity(node: NodeChange) -> bool:
    steps = node.step(STASH, IDENTITY), node.step(COMMAND, OWN_KEY)
    return any(step is not None and step.op in {"create", "replace"} for step in steps)


def _rotates(node: NodeChange) -> bool:
    """Whether a node changes keys without an end of its sessions; it has files on both sides."""
    assert node.before is not None
    assert node.after is not None
    before, after = node.before.tunnel, node.after.tunnel
    return after.next_port is not None and before.port == after.port


def _add_device(found: Sessions, node: NodeChange, before: Peer, after: Peer) -> None:
    """Add a client if its configuration has the node's former key, or the former pre-shared key."""
    assert node.before is not None
    assert node.after is not None
    own = node.before.tunnel.private != node.after.tunnel.private
    if own or before.preshared != after.preshared:
        found.devices.add(shown(node.mesh, after.name))


def kept_peers(node: NodeChange, renamed: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, Peer, Peer]]:
    """Yield the peers that a node has on both sides, by their new names."""
    if node.before is None or node.after is None:
        return
    try:
        before, after = node.before.tunnel.peers, node.after.tunnel.peers
    except NotUnderstoodError:
        return  # told where reach is compared
    for former, peer in before.items():
        name = renamed.get((node.mesh, former), former)
        if name in after and not (peer.relay or after[name].relay):
            yield name, peer, after[name]
