"""Drift: how every node differs from what the stack says, and the way back."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.table import Table
from rich.text import Text

from mesh.advice import KEYS_MISSING, OWN_KEY_LOST, PRIVATE_KEY_SAYS
from mesh.calls.nodes import AgentClient, NodeError, Ran
from mesh.calls.reports import ReportedDifference, ReportedRotation, Trial
from mesh.cli.paths import Paths
from mesh.cli.results import NodeResult, ask_all
from mesh.cli.rotation import held
from mesh.cli.settle import NodeRotation
from mesh.cli.state import StackState
from mesh.outputs import MeshOutputs, NodeOutputs
from mesh.said import shown

__all__ = [
    "Difference",
    "NodeCheck",
    "check_mesh",
    "repair_mesh",
    "table",
    "verdict",
    "with_paths",
    "with_rotations",
]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What differs on a node, how it is and how it should be; never holds a secret."""

    item: str
    live: str
    wanted: str


@dataclass(frozen=True, kw_only=True)
class NodeCheck(NodeResult):
    """What differs on one node; `repaired` are the differences there were.

    `paths` are those to other nodes that lose large packets: no repair helps there. A `rotation` of keys
    under way is no difference; one that is `held` has waited for too long.
    """

    differences: tuple[Difference, ...] = ()
    repaired: tuple[Difference, ...] = ()
    paths: tuple[Difference, ...] = ()
    rotation: ReportedRotation | None = None
    held: bool = False

    @property
    def good(self) -> bool:
        """Whether the node is what the stack says."""
        return super().good and not self.differences and not self.paths and not self.held


async def check_mesh(mesh: MeshOutputs, state: StackState) -> list[NodeCheck]:
    """Compare all nodes at once."""
    agents = AgentClient(mesh, lambda: state)
    return await ask_all(mesh, NodeCheck, lambda node: _check(agents, mesh, state, node))


def with_rotations(found: Sequence[NodeCheck], rotations: Sequence[NodeRotation]) -> list[NodeCheck]:
    """Return the same with what is known later on of the rotation of keys."""
    later = {each.node: each for each in rotations}
    return [_rotating(check, later[check.node]) if check.node in later else check for check in found]


def verdict(found: Sequence[NodeCheck]) -> str:
    """Return the line that names the nodes which are not good."""
    late = [each.node for each in found if each.held and replace(each, held=False).good]
    differ = [each.node for each in found if not each.good and each.node not in late]
    parts = (("different from the stack", differ), ("a rotation of keys waits for too long", late))
    return "; ".join(f"{words}: {', '.join(names)}" for words, names in parts if names)


def _rotating(check: NodeCheck, later: NodeRotation) -> NodeCheck:
    if not check.enabled or check.problem is not None:
        return check
    rotation = later.rotation
    return replace(check, rotation=rotation, held=held(rotation, time.time()), problem=later.problem)


def with_paths(found: Sequence[NodeCheck], paths: Paths) -> list[NodeCheck]:
    """Add the paths that lose large packets, each at the node where it begins."""
    narrow: dict[str, list[Difference]] = {}
    for (source, to), path in paths.holes.items():
        live, wanted = f"{path.passes} bytes pass", f"{path.mtu} bytes"
        narrow.setdefault(source, []).append(Difference(item=f"path to {to}", live=live, wanted=wanted))
    return [replace(check, paths=tuple(narrow.get(check.node, ()))) for check in found]


async def repair_mesh(mesh: MeshOutputs, state: StackState, found: Sequence[NodeCheck]) -> list[NodeCheck]:
    """Bring the nodes that differ back, one after the other, each by a trial and a commit of its own."""
    agents = AgentClient(mesh, lambda: state)
    results = []
    for check in found:
        if check.differences and check.problem is None:
            results.append(await _repair(agents, mesh, state, check))
        else:
            results.append(check)
    return results


async def _check(agents: AgentClient, mesh: MeshOutputs, state: StackState, node: NodeOutputs) -> NodeCheck:
    """Raises `NodeError`."""
    files = state.files.get(node.name)
    if files is None:
        problem = "this node was never configured (the last `up` stopped before it); run `up` again"
        return NodeCheck(node=node.name, problem=problem)
    report = await agents.report(node, "check", files.document)
    found = [_named(mesh, entry) for entry in report.differences]
    if files.agent is not None and report.agent != files.agent:
        found.append(Difference(item="agent", live=report.agent, wanted=files.agent))
    return NodeCheck(
        node=node.name,
        differences=tuple(found),
        problem=_pending(report.trial),
        rotation=report.rotation,
        held=held(report.rotation, time.time()),
    )


def _pending(trial: Trial | None) -> str | None:
    if trial is None:
        return None
    return (
        f"a change is on trial for {trial.seconds_left:.0f} more seconds: run this command again afterwards"
    )


def _named(mesh: MeshOutputs, entry: ReportedDifference) -> Difference:
    """Call peers by their names."""
    item = entry.item
    for node in mesh.nodes.values():
        item = item.replace(node.public_key, node.name)
    return Difference(item=item, live=entry.live, wanted=entry.wanted)


async def _repair(agents: AgentClient, mesh: MeshOutputs, state: StackState, check: NodeCheck) -> NodeCheck:
    node = mesh.nodes[check.node]
    try:
        run = await agents.apply(node, state.files[check.node].document)
        if run.code != 0:
            return replace(check, problem=f"not repaired: {run.answer}{_remedy(state, check.node, run)}")
        now = await _check(agents, mesh, state, node)
    except NodeError as error:
        return replace(check, problem=str(error))
    repaired = tuple(found for found in check.differences if found not in now.differences)
    return replace(now, repaired=repaired, paths=check.paths)


def _remedy(state: StackState, node: str, run: Ran) -> str:
    if run.answer.startswith("KEYS-MISSING") and PRIVATE_KEY_SAYS in run.answer and state.makes_key(node):
        return f": {OWN_KEY_LOST.format(name=node, keys=state.keys(node))}"
    if run.answer.startswith("KEYS-MISSING"):
        return f": {KEYS_MISSING.format(keys=state.keys(node))}"
    return ""


# Rows of one node: a firewall that is another one altogether makes some hundred.
_ROWS = 200
_REPAIRED = Text("repaired ", style="green")


def table(found: Sequence[NodeCheck]) -> Table:
    """Return everything that differs as a table: a row for each difference."""
    grid = Table(title="differences from the stack")
    for name in ("node", "what", "is", "should be"):
        grid.add_column(name, overflow="fold")
    for check in found:
        for state, differences in ((Text(), (*check.differences, *check.paths)), (_REPAIRED, check.repaired)):
            for each in differences[:_ROWS]:
                cells = (shown(cell) for cell in (each.item, each.live, each.wanted))
                item, live, wanted = map(Text, cells)
                grid.add_row(Text(check.node), state + item, live, wanted)
            if len(differences) > _ROWS:
                grid.add_row(
                    Text(check.node), state + Text(f"{len(differences) - _ROWS} more (--json has all)")
                )
    return grid
