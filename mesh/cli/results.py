"""What a command found on a node, and how it is told."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from mesh.calls.nodes import NodeError
from mesh.calls.reports import Report, ReportedRotation
from mesh.calls.trouble import DOWN
from mesh.cli.outputs import NOT_MADE
from mesh.outputs import MeshOutputs, NodeOutputs

__all__ = ["NodeResult", "as_json", "ask_all", "bad", "print_remarks"]


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


Result = TypeVar("Result", bound=NodeResult)


async def ask_all(
    mesh: MeshOutputs, kind: type[Result], ask: Callable[[NodeOutputs], Awaitable[Result]]
) -> list[Result]:
    """Ask all enabled nodes at once; one that is down (`NodeError`) does not keep the others from it.

    Nodes that are not enabled, or not made yet, have a result of this `kind` that says so.
    """

    async def one(node: NodeOutputs) -> Result:
        if not node.enabled:
            return kind(node=node.name, enabled=False)
        try:
            return await ask(node)
        except NodeError as error:
            return kind(node=node.name, problem=str(error))

    found = await asyncio.gather(*(one(node) for node in mesh.nodes.values()))
    unmade = (
        kind(node=name, enabled=enabled, problem=NOT_MADE if enabled else None)
        for name, enabled in mesh.unmade.items()
    )
    return [*found, *unmade]


def bad(found: Iterable[NodeResult]) -> list[str]:
    """Return the names of the nodes that are not good."""
    return [result.node for result in found if not result.good]


def print_remarks(found: Sequence[NodeResult]) -> None:
    """Print a line for each node that has a problem or is not enabled: a table would cut it."""
    for result in found:
        note = result.problem if result.enabled else "not enabled"
        if note:
            print(f"{result.node}: {note}")
    if any("does not answer" in (result.problem or "") for result in found):
        print(DOWN)


def as_json(found: Sequence[NodeResult], **more: object) -> str:
    """Return everything as JSON: whether all is good, for each node what its result holds, and `more`."""
    nodes = {}
    for result in found:
        entry = asdict(result)
        nodes[entry.pop("node")] = {"good": result.good, **entry}
    return json.dumps({"good": not bad(found), **more, "nodes": nodes}, indent=1, default=_fields)


def _fields(value: object) -> dict[str, Any]:
    """Return the fields of a report that the node gave."""
    if not isinstance(value, (Report, ReportedRotation)):
        raise TypeError(type(value).__name__)
    return value.model_dump(exclude_unset=True)
