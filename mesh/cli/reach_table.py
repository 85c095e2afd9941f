"""Who reaches whom, as a terminal has room for it, and in words where pairs are lost."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from rich.table import Table

from mesh.cli.reach import Reach
from mesh.outputs import MeshOutputs

__all__ = ["TITLE6", "as_json", "in_words", "lost_in_words", "table"]

_CELL: Final = 8  # characters of a time or `lost`, with its borders
_PAIRS: Final = 6  # lost pairs that are listed one by one
_NAMED: Final = 3  # nodes that a line names
_FEW: Final = 2  # nodes of which no one can be told to be the silent one


_TITLE: Final = "ping times (ms through the tunnel)"
TITLE6: Final = "ping times in IPv6 (ms through the tunnel)"
"""Of the table of a mesh's IPv6 addresses."""


def table(mesh: MeshOutputs, reach: Reach, *, width: int = 80, title: str = _TITLE) -> Table:
    """Return the answers as a table that `width` characters have room for.

    A row for each source and a column for each destination, in milliseconds; where that is too wide, columns
    have the numbers of the rows; where that is too wide as well, a row for each node says how many answer it.
    """
    nodes = [(name, node.address) for name, node in mesh.nodes.items() if node.enabled]
    rows = max((len(name) for name, _ in nodes), default=0) + 4
    named = sum(max(len(name), len(address)) + 3 for name, address in nodes)
    if max(rows, 12) + named <= width:
        heads = {name: f"{name}\n{address}" for name, address in nodes}
        return _matrix(nodes, heads, {name: name for name, _ in nodes}, reach, title)
    if rows + 24 + _CELL * len(nodes) <= width:
        number = {name: str(index) for index, (name, _) in enumerate(nodes, 1)}
        labels = {name: f"{number[name]:>2} {name} {address}" for name, address in nodes}
        return _matrix(nodes, number, labels, reach, title)
    return _summary(nodes, reach, title)


def _matrix(
    nodes: Sequence[tuple[str, str]],
    heads: Mapping[str, str],
    labels: Mapping[str, str],
    reach: Reach,
    title: str,
) -> Table:
    whole = len(reach.pairs) == len(nodes) * (len(nodes) - 1)
    grid = Table(title=title, caption=None if whole else "-: no link")
    grid.add_column("from \\ to", no_wrap=True)
    for name, _ in nodes:
        grid.add_column(heads[name], justify="right", no_wrap=True)
    for source, _ in nodes:
        grid.add_row(labels[source], *(_cell(reach, source, destination) for destination, _ in nodes))
    return grid


def _cell(reach: Reach, source: str, destination: str) -> str:
    time = reach.pairs.get((source, destination))
    if source == destination:
        return "·"
    if (source, destination) not in reach.pairs:
        return "[dim]-[/dim]"
    return "[red]lost[/red]" if time is None else f"[green]{time:.1f}[/green]"


def _summary(nodes: Sequence[tuple[str, str]], reach: Reach, title: str) -> Table:
    """A row for each node: how many it reaches, how long the slowest takes, and whom it does not reach."""
    grid = Table(title=title)
    grid.add_column("from", overflow="fold")
    for head in ("address", "reaches", "slowest"):
        grid.add_column(head, justify="right", no_wrap=True)
    grid.add_column("not", overflow="fold")
    for name, address in nodes:
        times = {to: time for (source, to), time in reach.pairs.items() if source == name}
        answered = {to: time for to, time in times.items() if time is not None}
        lost = [to for to in times if to not in answered]
        slowest = max(answered.values(), default=None)
        grid.add_row(
            name,
            address,
            f"{len(answered)}/{len(times)}",
            "" if slowest is None else f"{slowest:.1f}",
            f"[red]{_some(lost)}[/red]" if lost else "",
        )
    return grid


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def lost_in_words(reach: Reach) -> str:
    """Say which pairs are lost: a node that nobody reaches is named once, instead of its pairs."""
    lost = set(reach.lost)
    names = {name for pair in reach.pairs for name in pair}
    silent = sorted(name for name in names if _hears_nobody(name, reach, lost)) if len(names) > _FEW else []
    if len(silent) > len(names) - _FEW:
        silent = []
    rest = [pair for pair in reach.lost if not {*pair} & {*silent}]
    words = [f"{' and '.join(silent)} {'answer' if len(silent) > 1 else 'answers'} no node"] if silent else []
    if rest:
        shown = ", ".join(f"{source} -> {to}" for source, to in rest[:_PAIRS])
        more = len(rest) - _PAIRS
        words.append(f"no answer: {shown}" + (f" and {more} more" if more > 0 else ""))
    count = f"{len(lost)} of {len(reach.pairs)} pairs lost"
    others = "" if rest else "; all other pairs answer"
    return f"{'; '.join(words)} ({count}){others}" if silent else "; ".join(words)


def in_words(reach: Reach, reach6: Reach | None) -> str:
    """Say which pairs are lost in IPv4, and in IPv6 where the mesh has that; the same pairs once."""
    if reach6 is None or reach6.lost == reach.lost:
        return lost_in_words(reach)
    families = {"IPv4": reach, "IPv6": reach6}
    return "; ".join(f"in {name}: {lost_in_words(each)}" for name, each in families.items() if each.lost)


def _hears_nobody(name: str, reach: Reach, lost: set[tuple[str, str]]) -> bool:
    towards = [pair for pair in reach.pairs if pair[1] == name]
    return bool(towards) and all(pair in lost for pair in towards)


def as_json(reach: Reach, reach6: Reach | None = None) -> str:
    """Return everything as JSON: whether all is good, milliseconds by pair (null: lost), and problems.

    `reach6` is the same in IPv6, where the mesh has that; its pairs are `pairs6`.
    """
    families = {"pairs": reach} if reach6 is None else {"pairs": reach, "pairs6": reach6}
    good = not any(each.lost or each.problems for each in families.values())
    problems = {node: why for each in reversed(families.values()) for node, why in each.problems.items()}
    pairs = {key: _by_source(each) for key, each in families.items()}
    return json.dumps({"good": good, **pairs, "problems": problems}, indent=1)


def _by_source(reach: Reach) -> dict[str, dict[str, float | None]]:
    pairs: dict[str, dict[str, float | None]] = {}
    for (source, destination), time in reach.pairs.items():
        pairs.setdefault(source, {})[destination] = time
    return pairs
