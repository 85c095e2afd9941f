"""Drift: how every node differs from what the stack says, and the way back."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.markup import escape
from rich.table import Table

from mesh.cli.nodes import Agent, AgentRun, HostKeyChangedError, NodeDownError
from mesh.cli.outputs import MeshOutputs, NodeOutputs
from mesh.cli.state import NodeFiles

__all__ = ["Difference", "NodeCheck", "as_json", "check_mesh", "repair_mesh", "table"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What differs on a node, how it is and how it should be; never holds a secret."""

    item: str
    live: str
    wanted: str


@dataclass(frozen=True, kw_only=True)
class NodeCheck:
    """What was found on one node.

    `problem` is why it could not be compared or repaired; `repaired` are the differences there were.
    """

    node: str
    differences: tuple[Difference, ...] = ()
    problem: str | None = None
    repaired: tuple[Difference, ...] = ()

    @property
    def good(self) -> bool:
        """Whether the node is what the stack says."""
        return not self.differences and self.problem is None


async def check_mesh(mesh: MeshOutputs, files: Mapping[str, NodeFiles]) -> list[NodeCheck]:
    """Compare all nodes at once; one that is down does not keep the others from being compared."""
    agent = Agent(mesh)
    nodes = mesh.nodes.values()
    return list(await asyncio.gather(*(_check(agent, mesh, node, files.get(node.name)) for node in nodes)))


async def repair_mesh(
    mesh: MeshOutputs, files: Mapping[str, NodeFiles], found: Sequence[NodeCheck]
) -> list[NodeCheck]:
    """Bring the nodes that differ back, one after the other, each by a trial and a commit of its own."""
    agent = Agent(mesh)
    results = []
    for check in found:
        if check.differences and check.problem is None and check.node in files:
            results.append(await _repair(agent, mesh, check, files[check.node]))
        else:
            results.append(check)
    return results


async def _check(agent: Agent, mesh: MeshOutputs, node: NodeOutputs, files: NodeFiles | None) -> NodeCheck:
    if files is None:
        problem = "the stack has no files of it: its last `up` did not get that far; run `up`"
        return NodeCheck(node=node.name, problem=problem)
    try:
        run = await agent.call(node, "check", files.document)
    except (NodeDownError, HostKeyChangedError) as error:
        return NodeCheck(node=node.name, problem=str(error))
    report = _report(run)
    if report is None:
        return NodeCheck(node=node.name, problem=_no_report(node.name, run))
    found = [_named(mesh, entry) for entry in report["differences"]]
    if files.agent is not None and report["agent"] != files.agent:
        found.append(Difference(item="agent", live=report["agent"], wanted=files.agent))
    return NodeCheck(node=node.name, differences=tuple(found), problem=_pending(report["trial"]))


def _pending(trial: Mapping[str, Any] | None) -> str | None:
    if trial is None:
        return None
    return f"a change is under trial, over in {trial['seconds_left']:.0f} s: ask again then"


def _report(run: AgentRun) -> dict[str, Any] | None:
    try:
        report = json.loads(run.out)
    except ValueError:
        return None
    return report if isinstance(report, dict) and run.code == 0 else None


def _no_report(name: str, run: AgentRun) -> str:
    said = run.answer or "it said nothing"
    return (
        f"its agent gave no report (exit code {run.code}: {said}); `up` with `--replace` and the URNs "
        f"of {name}-agent-file and {name}-agent installs it again"
    )


def _named(mesh: MeshOutputs, entry: Mapping[str, str]) -> Difference:
    """Call peers by their names."""
    item = entry["item"]
    for node in mesh.nodes.values():
        item = item.replace(node.public_key, node.name)
    return Difference(item=item, live=entry["live"], wanted=entry["wanted"])


async def _repair(agent: Agent, mesh: MeshOutputs, check: NodeCheck, files: NodeFiles) -> NodeCheck:
    node = mesh.nodes[check.node]
    try:
        run = await agent.apply(node, files.document)
    except (NodeDownError, HostKeyChangedError) as error:
        return replace(check, problem=str(error))
    if run.code != 0:
        return replace(check, problem=f"not repaired: {run.answer}{_remedy(check.node, run)}")
    now = await _check(agent, mesh, node, files)
    repaired = tuple(found for found in check.differences if found not in now.differences)
    return replace(now, repaired=repaired)


def _remedy(name: str, run: AgentRun) -> str:
    if run.answer.startswith("KEYS-MISSING"):
        return f" (`up` with `--replace` and the URN of {name}-keys sends them)"
    return ""


def table(found: Sequence[NodeCheck]) -> Table:
    """Return everything that differs as a table: a row for each difference."""
    grid = Table(title="nodes that are not what the stack says")
    for name in ("node", "what", "is", "should be"):
        grid.add_column(name, overflow="fold")
    for check in found:
        for state, differences in (("", check.differences), ("[green]repaired[/green] ", check.repaired)):
            for each in differences:
                grid.add_row(
                    check.node, f"{state}{escape(each.item)}", escape(each.live), escape(each.wanted)
                )
        if check.problem:
            grid.add_row(check.node, f"[red]{escape(check.problem)}[/red]", "", "")
    return grid


def as_json(found: Sequence[NodeCheck]) -> str:
    """Return everything as JSON: for each node whether it is good, what differs, what was repaired."""
    nodes = {}
    for check in found:
        entry = asdict(check)
        nodes[entry.pop("node")] = {"good": check.good, **entry}
    return json.dumps({"good": all(check.good for check in found), "nodes": nodes}, indent=1)
