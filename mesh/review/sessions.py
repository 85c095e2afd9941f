"""The sessions that get other keys: pairs of nodes whose public keys or pre-shared key change."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mesh.names import IDENTITY, STASH
from mesh.render import UNKNOWN_TEXT
from mesh.review.elements import NotUnderstoodError
from mesh.review.files import Peer
from mesh.review.nodes import NodeChange
from mesh.review.reach import shown

__all__ = ["Sessions", "compare_sessions", "kept_peers"]


@dataclass(kw_only=True)
class Sessions:
    """Pairs that stay and get other keys, by why; pairs of names as people see them, in order.

    `nodes` get another key of their own. `perhaps` are pairs whose keys are not known before `up`.
    """

    nodes: set[str] = field(default_factory=set)
    identity: set[tuple[str, str]] = field(default_factory=set)
    preshared: set[tuple[str, str]] = field(default_factory=set)
    perhaps: set[tuple[str, str]] = field(default_factory=set)

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """All pairs that are sure to get other keys."""
        return self.identity | self.preshared


def compare_sessions(nodes: Mapping[str, NodeChange]) -> Sessions:
    """Compare the peers that each node has before and after."""
    found = Sessions()
    replaced = {(node.mesh, node.name) for node in nodes.values() if _new_identity(node)}
    renamed = {(node.mesh, node.former): node.name for node in nodes.values()}
    for node in nodes.values():
        for name, before, after in kept_peers(node, renamed):
            one, other = sorted((shown(node.mesh, node.name), shown(node.mesh, name)))
            if before.public_key != after.public_key:
                sure = after.public_key != UNKNOWN_TEXT or (node.mesh, name) in replaced
                (found.identity if sure else found.perhaps).add((one, other))
                if sure:
                    found.nodes.add(shown(node.mesh, name))
            if before.preshared != after.preshared:
                sure = UNKNOWN_TEXT not in {before.preshared, after.preshared}
                (found.preshared if sure else found.perhaps).add((one, other))
    found.perhaps -= found.pairs
    return found


def _new_identity(node: NodeChange) -> bool:
    step = node.step(STASH, IDENTITY)
    return step is not None and step.op == "replace"


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
