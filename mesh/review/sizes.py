"""The pairs of nodes whose packets may be larger or smaller: another MTU inside the tunnel."""

from collections.abc import Mapping

from mesh.review.elements import NotUnderstoodError
from mesh.review.nodes import NodeChange, Side
from mesh.review.reach import shown
from mesh.review.sessions import kept_peers

__all__ = ["Sizes", "compare_sizes"]

Sizes = Mapping[tuple[str, str], frozenset[tuple[str, str]]]
"""The pairs, by what their MTU was and what it becomes."""


def compare_sizes(nodes: Mapping[str, NodeChange]) -> Sizes:
    """Compare the MTU of every pair that there is before and after."""
    renamed = {(node.mesh, node.former): node.name for node in nodes.values()}
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for node in nodes.values():
        for name, before, after in kept_peers(node, renamed):
            sizes = before.mtu or _of(node, "before"), after.mtu or _of(node, "after")
            if sizes[0] != sizes[1]:
                one, other = sorted((shown(node.mesh, node.name), shown(node.mesh, name)))
                found.setdefault(sizes, set()).add((one, other))
    return {sizes: frozenset(found[sizes]) for sizes in sorted(found)}


def _of(node: NodeChange, side: Side) -> str:
    """Return the MTU of a node's interface."""
    files = node.on(side)
    try:
        return files.tunnel.mtu if files else ""
    except NotUnderstoodError:
        return ""
