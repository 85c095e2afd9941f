"""The files of nodes line by line: a unified diff of each, new nodes whole, equal changes once."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from mesh.review.nodes import NodeChange
from mesh.review.reach import shown

__all__ = ["FileChange", "NewNode", "file_changes", "new_nodes"]

_CONTEXT: Final = 3
_FINGERPRINT: Final = re.compile(r"\bkey:[0-9a-f]{16}\b")
_OF_EACH: Final = "key:(another for each node)"


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """One file that changes on these nodes in the same lines; `lines` are a unified diff of the first one.

    Where only fingerprints of keys differ between nodes, the diff has `key:(another for each node)` for them.
    """

    path: str
    nodes: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NewNode:
    """All files of a node that does not exist yet."""

    name: str
    files: Mapping[str, str]


def file_changes(nodes: Mapping[str, NodeChange]) -> list[FileChange]:
    """Return the changes of nodes that stay: for each path, what changes on most nodes first."""
    found: dict[tuple[str, tuple[str, ...]], list[tuple[str, tuple[str, ...]]]] = {}
    paths: dict[str, None] = {}
    for node in nodes.values():
        for path, lines in _diffs(node):
            paths.setdefault(path)
            changed = tuple(_FINGERPRINT.sub(_OF_EACH, line) for line in lines if line[0] in "+-")
            found.setdefault((path, changed), []).append((shown(node.mesh, node.name), lines))
    order = list(paths)
    changes = [_change(path, each) for (path, _), each in found.items()]
    return sorted(changes, key=lambda change: (-len(change.nodes), order.index(change.path), change.nodes))


def _change(path: str, each: list[tuple[str, tuple[str, ...]]]) -> FileChange:
    lines = each[0][1]
    if any(_only_changed(other) != _only_changed(lines) for _, other in each):
        lines = tuple(_FINGERPRINT.sub(_OF_EACH, line) for line in lines)
    return FileChange(path=path, nodes=tuple(name for name, _ in each), lines=lines)


def _only_changed(lines: tuple[str, ...]) -> list[str]:
    return [line for line in lines if line[0] in "+-"]


def _diffs(node: NodeChange) -> Iterator[tuple[str, tuple[str, ...]]]:
    if node.before is None or node.after is None:
        return
    before, after = node.before.content, node.after.content
    for path in dict.fromkeys((*after, *before)):
        lines = difflib.unified_diff(
            before.get(path, "").splitlines(), after.get(path, "").splitlines(), n=_CONTEXT, lineterm=""
        )
        hunks = tuple(lines)[2:]  # without the two lines that name files
        if hunks:
            yield path, hunks


def new_nodes(nodes: Mapping[str, NodeChange]) -> list[NewNode]:
    """Return the nodes that have files for the first time."""
    return [
        NewNode(name=shown(node.mesh, node.name), files=node.after.content)
        for node in nodes.values()
        if node.touched and node.before is None and node.after is not None and not node.hidden
    ]
