"""What a command found on a node, and how it is told."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

__all__ = ["NodeResult", "as_json", "bad", "print_remarks"]


@dataclass(frozen=True, kw_only=True)
class NodeResult:
    """The node, and the problem why it could not be asked or put right; one not `enabled` is not asked."""

    node: str
    enabled: bool = True
    problem: str | None = None

    @property
    def good(self) -> bool:
        """Whether all is well with the node, as far as the command looks."""
        return self.problem is None


def bad(found: Iterable[NodeResult]) -> list[str]:
    """Return the names of the nodes that are not good."""
    return [result.node for result in found if not result.good]


def print_remarks(found: Iterable[NodeResult]) -> None:
    """Print a line for each node that has a problem or is not enabled: a table would cut it."""
    for result in found:
        note = result.problem if result.enabled else "not enabled"
        if note:
            print(f"{result.node}: {note}")


def as_json(found: Sequence[NodeResult]) -> str:
    """Return everything as JSON: whether all is good, and for each node what its result holds."""
    nodes = {}
    for result in found:
        entry = asdict(result)
        nodes[entry.pop("node")] = {"good": result.good, **entry}
    return json.dumps({"good": not bad(found), "nodes": nodes}, indent=1)
