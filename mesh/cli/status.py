"""Where every node stands: its generation, its agent, and what it hears from its peers."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from mesh.cli.nodes import Agent, HostKeyChangedError, NodeDownError
from mesh.cli.outputs import MeshOutputs, NodeOutputs

__all__ = ["read_status", "table"]

Status = Mapping[str, Mapping[str, Any] | str]
"""Per node what its agent reports, or why it does not."""


async def read_status(mesh: MeshOutputs) -> Status:
    """Ask all nodes at once; one that is down is told as such."""
    agent = Agent(mesh)
    answers = await asyncio.gather(*(_ask(agent, node) for node in mesh.nodes.values()))
    return dict(zip(mesh.nodes, answers, strict=True))


async def _ask(agent: Agent, node: NodeOutputs) -> Mapping[str, Any] | str:
    try:
        run = await agent.call(node, "status")
        report: dict[str, Any] = json.loads(run.out)
    except (NodeDownError, HostKeyChangedError) as error:
        return str(error)
    except ValueError:
        return f"its agent gave no report (exit code {run.code}: {run.answer})"
    return report


def table(mesh: MeshOutputs, status: Status) -> Table:
    """Return a row for each node and peer: age of the latest handshake, bytes in and out."""
    grid = Table(title="nodes and what they hear from their peers")
    for name in ("node", "state", "generation", "agent", "peer", "handshake", "received", "sent"):
        grid.add_column(name, overflow="fold", justify="right" if name in _NUMBERS else "left")
    names = {node.public_key: node.name for node in mesh.nodes.values()}
    for node, report in status.items():
        if isinstance(report, str):
            grid.add_row(node, f"[red]{escape(report)}[/red]")
            continue
        differs = len(report["differences"])
        state = f"[red]{differs} differences[/red]" if differs else report["state"]
        head = [node, state, str(report["current"])[:12], report["agent"][:12]]
        for public, peer in report["peers"].items():
            cells = [_age(peer["handshake_age"]), _bytes(peer["received"]), _bytes(peer["sent"])]
            grid.add_row(*head, names.get(public, public), *cells)
            head = [""] * len(head)
        if not report["peers"]:
            grid.add_row(*head)
    return grid


_NUMBERS = {"handshake", "received", "sent"}
_KIB = 1024


def _age(seconds: int | None) -> str:
    return "[red]never[/red]" if seconds is None else f"{seconds} s ago"


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < _KIB:
            return f"{count:.0f} {unit}"
        count /= _KIB
    return f"{count:.1f} GiB"
