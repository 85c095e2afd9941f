"""`mesh settle`: nodes that wait for others in a rotation of keys are told who has finished."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mesh.calls.nodes import AgentClient, NodeError
from mesh.calls.reports import ReportedRotation
from mesh.calls.rotations import settle_input
from mesh.cli.engine import CliError
from mesh.cli.evidence import Seen, evidence, parse_keys
from mesh.cli.results import NodeResult, ask_all
from mesh.cli.state import StackState
from mesh.outputs import MeshOutputs, NodeOutputs

__all__ = ["PATIENCE_SECONDS", "NodeRotation", "refuse_unknown", "settle_mesh"]

PATIENCE_SECONDS: Final = 30.0
"""Twice what a rotation takes once all nodes have their files."""
_PAUSE_SECONDS: Final = 2.0
_KEYS_SECONDS: Final = 30.0
_ANSWERS: Final = ("SETTLED", "HELD ")


@dataclass(frozen=True, kw_only=True)
class NodeRotation(NodeResult):
    """The rotation of keys that a node is in; None when it is in none, or was not asked."""

    rotation: ReportedRotation | None = None

    @property
    def good(self) -> bool:
        """Whether the node answers, and no key of it is still to be changed."""
        return super().good and not (self.rotation is not None and self.rotation.under_way)


def refuse_unknown(mesh: MeshOutputs, names: Collection[str]) -> None:
    """Raise `CliError` for a name that is no node's."""
    known = [*mesh.nodes, *mesh.unmade]
    for name in names:
        if name in mesh.clients:
            raise CliError(f"{name} is a client: no node waits for clients in a rotation of keys")
        if name not in known:
            raise CliError(f"{name!r} is not a node of this stack; it has {', '.join(known)}")


async def settle_mesh(
    mesh: MeshOutputs,
    state: StackState,
    *,
    without: Collection[str] = (),
    patience: float = PATIENCE_SECONDS,
) -> list[NodeRotation]:
    """Tell the nodes that rotate their keys who has finished, until none of them does.

    `without` are nodes that nobody waits for any more: that cuts off one which still has former keys.
    `patience` is for how long, in seconds, nodes are asked again. Returns what was found last.
    """
    agents = AgentClient(mesh, lambda: state)
    ends = time.monotonic() + patience
    while True:
        found, seen = await _look(agents, mesh, state)
        rotating = [node for node, each in seen.items() if each.rotates]
        if not rotating:
            return found
        problems = await _tell(agents, mesh, seen, rotating, without)
        found = [_with_problem(each, problems) for each in found]
        if time.monotonic() + _PAUSE_SECONDS > ends:
            return found
        await asyncio.sleep(_PAUSE_SECONDS)


async def _look(
    agents: AgentClient, mesh: MeshOutputs, state: StackState
) -> tuple[list[NodeRotation], dict[str, Seen]]:
    """Ask all nodes at once how far they are."""
    seen: dict[str, Seen] = {}

    async def ask(node: NodeOutputs) -> NodeRotation:
        # the key comes first: a report of later on, without a rotation, says that the key stays
        keys = await agents.run(node, "wg show all public-key", seconds=_KEYS_SECONDS)
        report = await agents.report(node, "status")
        files = state.files.get(node.name)
        document = "" if files is None else files.document
        seen[node.name] = Seen(report=report, document=document, keys=parse_keys(keys.out))
        return NodeRotation(node=node.name, rotation=report.rotation)

    return await ask_all(mesh, NodeRotation, ask), seen


async def _tell(
    agents: AgentClient,
    mesh: MeshOutputs,
    seen: Mapping[str, Seen],
    rotating: Sequence[str],
    without: Collection[str],
) -> dict[str, str]:
    """Tell each of these nodes who has finished; returns the problems, by node."""

    async def one(name: str) -> str | None:
        settled, gone = evidence(name, seen), [each for each in without if each != name]
        if not settled and not gone:
            return None
        try:
            run = await agents.call(mesh.nodes[name], "settle", settle_input(settled, gone))
        except NodeError as error:
            return str(error)
        if run.code == 0 and run.answer.startswith(_ANSWERS):
            return None
        return (
            f"its agent did not take the evidence (exit code {run.code}: {run.answer or 'it said nothing'})"
        )

    answers = await asyncio.gather(*(one(name) for name in rotating))
    return {name: why for name, why in zip(rotating, answers, strict=True) if why is not None}


def _with_problem(found: NodeRotation, problems: Mapping[str, str]) -> NodeRotation:
    if found.node not in problems:
        return found
    return NodeRotation(node=found.node, rotation=found.rotation, problem=problems[found.node])
