"""Where every node stands: its generation, its agent, and what it hears from its peers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from mesh.cli.nodes import AgentClient
from mesh.cli.outputs import MeshOutputs, NodeOutputs
from mesh.cli.results import NodeResult, ask_all
from mesh.cli.state import StackState

__all__ = ["NodeStatus", "read_status", "table"]


@dataclass(frozen=True, kw_only=True)
class NodeStatus(NodeResult):
    """What a node's agent reports (docs/protocol.md); None where there is a problem, or nobody asked."""

    report: Mapping[str, Any] | None = None


async def read_status(mesh: MeshOutputs, state: StackState) -> list[NodeStatus]:
    """Ask all nodes at once."""
    agents = AgentClient(mesh, state)

    async def ask(node: NodeOutputs) -> NodeStatus:
        return NodeStatus(node=node.name, report=await agents.report(node, "status"))

    return await ask_all(mesh, NodeStatus, ask)


def table(mesh: MeshOutputs, found: Sequence[NodeStatus]) -> Table:
    """Return a row for each node and peer: age of the latest handshake, bytes in and out."""
    grid = Table(title="nodes and what they hear from their peers")
    for name in ("node", "state", "generation", "agent", "peer", "handshake", "received", "sent"):
        grid.add_column(name, overflow="fold", justify="right" if name in _NUMBERS else "left")
    names = {node.public_key: node.name for node in mesh.nodes.values()}
    for status in found:
        if status.report is not None:
            _add_report(grid, names, status.node, status.report)
        else:
            grid.add_row(status.node, "[red]no report[/red]" if status.problem else "[dim]not enabled[/dim]")
    return grid


def _add_report(grid: Table, names: Mapping[str, str], node: str, report: Mapping[str, Any]) -> None:
    differs = len(report["differences"])
    state = Text(f"{differs} differences", style="red") if differs else Text(report["state"])
    head = [Text(node), state, Text((report["current"] or "none")[:12]), Text(report["agent"][:12])]
    for public, peer in report["peers"].items():
        cells = [_age(peer["handshake_age"]), _bytes(peer["received"]), _bytes(peer["sent"])]
        grid.add_row(*head, Text(names.get(public, public[:_KEY])), *cells)
        head = [Text("")] * len(head)
    if not report["peers"]:
        grid.add_row(*head)


# Characters of a public key in base64.
_KEY = 44
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
