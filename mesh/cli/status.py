"""Where every node stands: its generation, its agent, and what it hears from its peers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mesh.calls.nodes import AgentClient
from mesh.calls.reports import Report
from mesh.cli.results import NodeResult, ask_all
from mesh.cli.rotation import progress
from mesh.cli.state import StackState
from mesh.outputs import MeshOutputs, NodeOutputs

__all__ = ["NodeStatus", "read_status", "table"]


@dataclass(frozen=True, kw_only=True)
class NodeStatus(NodeResult):
    """What a node's agent reports (docs/protocol.md); None where there is a problem, or nobody asked."""

    report: Report | None = None


async def read_status(mesh: MeshOutputs, state: StackState) -> list[NodeStatus]:
    """Ask all nodes at once."""
    agents = AgentClient(mesh, lambda: state)

    async def ask(node: NodeOutputs) -> NodeStatus:
        return NodeStatus(node=node.name, report=await agents.report(node, "status"))

    return await ask_all(mesh, NodeStatus, ask)


def table(mesh: MeshOutputs, found: Sequence[NodeStatus]) -> Table:
    """Return a row for each node and peer: age of the latest handshake, bytes in and out.

    Of many nodes a row for each node: how many peers it hears, and whom it has not heard for longest.
    """
    if len(found) > _MANY:
        return _summary(mesh, found)
    grid = Table(title="nodes, with handshakes and traffic of their peers")
    for name in ("node", "state", "generation", "agent", "peer", "handshake", "received", "sent"):
        grid.add_column(
            name, overflow="fold", justify="right" if name in _NUMBERS else "left", min_width=len(name)
        )
    names = _names(mesh)
    for status in found:
        if status.report is not None:
            _add_report(grid, names, status.node, status.report)
        else:
            grid.add_row(status.node, "[red]no report[/red]" if status.problem else "[dim]not enabled[/dim]")
    return grid


def _names(mesh: MeshOutputs) -> dict[str, str]:
    """Return nodes and clients by their public keys."""
    clients = {each.public_key: f"{each.name} (client)" for each in mesh.clients.values() if each}
    return {**{node.public_key: node.name for node in mesh.nodes.values()}, **clients}


def _summary(mesh: MeshOutputs, found: Sequence[NodeStatus]) -> Table:
    grid = Table(title="nodes, with handshakes and traffic of their peers")
    for name in ("node", "state", "generation", "hears", "longest ago"):
        grid.add_column(name, overflow="fold", min_width=len(name))
    names = _names(mesh)
    for status in found:
        report = status.report
        if report is None:
            grid.add_row(status.node, "[red]no report[/red]" if status.problem else "[dim]not enabled[/dim]")
            continue
        callers = {client.public_key for client in mesh.clients.values() if client}
        # a device that is off is no news
        nodes = {key: peer for key, peer in report.peers.items() if key not in callers}
        ages = {names.get(key, key): peer.handshake_age for key, peer in nodes.items()}
        heard = sum(1 for age in ages.values() if age is not None and age <= _OLD_SECONDS)
        last = max(ages, key=lambda name: _order(ages[name]), default=None)
        count = f"{heard}/{len(ages)}"
        grid.add_row(
            status.node,
            _state(report),
            (report.current or "none")[:12],
            count if heard == len(ages) else f"[red]{count}[/red]",
            "" if last is None else f"{escape(last)} {_age(ages[last])}",
        )
    return grid


def _order(age: int | None) -> float:
    """Put who was never heard behind everybody else."""
    return math.inf if age is None else age


def _state(report: Report) -> str:
    differs = len(report.differences)
    if differs:
        return f"[red]{differs} differences[/red]"
    return escape(_word(report))


def _word(report: Report) -> str:
    """Return the agent's word for where it stands, or how far a rotation of keys is."""
    rotation = report.rotation
    return f"rotating, {progress(rotation)}" if rotation and rotation.under_way else report.state


def _add_report(grid: Table, names: Mapping[str, str], node: str, report: Report) -> None:
    differs = len(report.differences)
    state = Text(f"{differs} differences", style="red") if differs else Text(_word(report))
    head = [Text(node), state, Text((report.current or "none")[:12]), Text(report.agent[:12])]
    for public, peer in report.peers.items():
        cells = [_age(peer.handshake_age), _bytes(peer.received), _bytes(peer.sent)]
        grid.add_row(*head, Text(names.get(public, public[:_KEY])), *cells)
        head = [Text("")] * len(head)
    if not report.peers:
        grid.add_row(*head)


# Characters of a public key in base64.
_KEY = 44
_NUMBERS = {"handshake", "received", "sent"}
_KIB = 1024
# REJECT_AFTER_TIME (WireGuard whitepaper 6.1) and a keepalive: peers that hear each other are never older.
_OLD_SECONDS = 180 + 25
_MANY = 8  # nodes of which every pair is still read at a glance


def _age(seconds: int | None) -> str:
    """How long ago a handshake was; red when the session it made is over."""
    if seconds is None:
        return "[red]never[/red]"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            words = f"{seconds // size} {unit} ago"
            break
    else:
        words = f"{seconds} s ago"
    return f"[red]{words}[/red]" if seconds > _OLD_SECONDS else words


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < _KIB:
            return f"{count:.0f} {unit}"
        count /= _KIB
    return f"{count:.1f} GiB"
