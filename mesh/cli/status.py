"""Where every node stands: its generation, its agent, and what it hears from its peers."""

import math
from collections.abc import Collection, Mapping, Sequence
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
    names, quiet = _names(mesh, found), _quiet(mesh, found)
    for status in found:
        if status.report is not None:
            _add_report(grid, names, status.node, status.report, quiet)
        else:
            grid.add_row(status.node, "[red]no report[/red]" if status.problem else "[dim]not enabled[/dim]")
    return grid


def _names(mesh: MeshOutputs, found: Sequence[NodeStatus]) -> dict[str, str]:
    """Return nodes and clients by their public keys; nodes that rotate by those of before, too."""
    clients = {each.public_key: f"{each.name} (client)" for each in mesh.clients.values() if each}
    rotations = [status.report.rotation for status in found if status.report and status.report.rotation]
    former = {
        pair.former: name
        for rotation in rotations
        for name, pair in rotation.pairs.items()
        if pair.former is not None and name in mesh.nodes
    }
    return {**former, **{node.public_key: node.name for node in mesh.nodes.values()}, **clients}


def _quiet(mesh: MeshOutputs, found: Sequence[NodeStatus]) -> set[tuple[str, str]]:
    """Return the pairs, node and public key of its peer, in which neither end sends keepalives.

    Their sessions end whenever nothing has passed for some minutes, and that is no news.
    """
    keepalives = {
        (status.node, key): peer.keepalive
        for status in found
        if status.report is not None
        for key, peer in status.report.peers.items()
    }
    names = {node.public_key: node.name for node in mesh.nodes.values()}
    keys = {name: key for key, name in names.items()}
    return {
        (node, key)
        for (node, key), own in keepalives.items()
        if own == 0 and keepalives.get((names.get(key, ""), keys.get(node, ""))) == 0
    }


def _summary(mesh: MeshOutputs, found: Sequence[NodeStatus]) -> Table:
    grid = Table(title="nodes, with handshakes and traffic of their peers")
    for name in ("node", "state", "generation", "hears", "longest ago"):
        grid.add_column(name, overflow="fold", min_width=len(name))
    names, quiet = _names(mesh, found), _quiet(mesh, found)
    for status in found:
        report = status.report
        if report is None:
            grid.add_row(status.node, "[red]no report[/red]" if status.problem else "[dim]not enabled[/dim]")
            continue
        callers = {client.public_key for client in mesh.clients.values() if client}
        # a device that is off is no news
        nodes = {key: peer for key, peer in report.peers.items() if key not in callers}
        ages = {names.get(key, key): peer.handshake_age for key, peer in nodes.items()}
        heard = sum(1 for age in ages.values() if not _is_old(age))
        silent = {
            names.get(key, key)
            for key, peer in nodes.items()
            if _is_old(peer.handshake_age) and (status.node, key) not in quiet
        }
        last = max(ages, key=lambda name: (name in silent, _order(ages[name])), default=None)
        count = f"{heard}/{len(ages)}"
        grid.add_row(
            status.node,
            _state(report),
            (report.current or "none")[:12],
            f"[red]{count}[/red]" if silent else count,
            "" if last is None else f"{escape(last)} {_age(ages[last], red=last in silent)}",
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


def _add_report(
    grid: Table, names: Mapping[str, str], node: str, report: Report, quiet: Collection[tuple[str, str]]
) -> None:
    differs = len(report.differences)
    state = Text(f"{differs} differences", style="red") if differs else Text(_word(report))
    head = [Text(node), state, Text((report.current or "none")[:12]), Text(report.agent[:12])]
    for public, peer in report.peers.items():
        age = _age(peer.handshake_age, red=_is_old(peer.handshake_age) and (node, public) not in quiet)
        cells = [age, _bytes(peer.received), _bytes(peer.sent)]
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


def _is_old(seconds: int | None) -> bool:
    """Whether the session that a handshake made is over."""
    return seconds is None or seconds > _OLD_SECONDS


def _age(seconds: int | None, *, red: bool) -> str:
    """How long ago a handshake was."""
    words = "never" if seconds is None else _ago(seconds)
    return f"[red]{words}[/red]" if red else words


def _ago(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < _KIB:
            return f"{count:.0f} {unit}"
        count /= _KIB
    return f"{count:.1f} GiB"
