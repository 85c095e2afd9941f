"""Which packets pass, as a terminal has room for it, and in words where large ones are lost."""

import json
from collections.abc import Mapping
from typing import Final

from rich.table import Table

from mesh.cli.paths import Path, Paths
from mesh.outputs import MeshOutputs

__all__ = ["as_json", "holes_in_words", "table"]

_CELL: Final = 15  # characters of `1328 of 1420`, with borders
_TITLE: Final = "largest packets that pass (bytes through the tunnel)"
_NAMED: Final = 6  # pairs that a message names
# WireGuard's share of what the network below carries (mesh/settings/underlay.py), and the range there.
_OVERHEAD: Final = 80
_LEAST: Final = 1280
_SOME: Final = 2  # black holes of a node, from which on the node is taken for their cause


def table(mesh: MeshOutputs, paths: Paths, *, width: int = 80) -> Table:
    """Return a row for each node and a column for each destination; where that is too wide, a short row."""
    names = [name for name, node in mesh.nodes.items() if node.enabled]
    longest = max((len(name) for name in names), default=0)
    if longest + 4 + sum(max(len(name) + 3, _CELL) for name in names) > width:
        return _summary(names, paths)
    grid = Table(title=_TITLE)
    grid.add_column("from \\ to", no_wrap=True)
    for name in names:
        grid.add_column(name, justify="right", no_wrap=True)
    for source in names:
        cells = (_cell(paths, source, to) for to in names)
        grid.add_row(source, *cells)
    return grid


def _cell(paths: Paths, source: str, to: str) -> str:
    if (source, to) not in paths.pairs:
        return "·" if source == to else "-"
    path = paths.pairs[source, to]
    if path is None:
        return "[red]lost[/red]"
    return f"[green]{path.mtu}[/green]" if path.whole else f"[red]{path.passes} of {path.mtu}[/red]"


def _summary(names: list[str], paths: Paths) -> Table:
    grid = Table(title=_TITLE)
    grid.add_column("from", overflow="fold")
    for head in ("whole", "smallest"):
        grid.add_column(head, justify="right", no_wrap=True)
    grid.add_column("black holes", overflow="fold")
    for name in names:
        to = {other: path for (source, other), path in paths.pairs.items() if source == name}
        there = {other: path for other, path in to.items() if path is not None}
        holes = [other for other, path in there.items() if not path.whole]
        smallest = min((path.passes for path in there.values()), default=None)
        whole = f"{len(there) - len(holes)}/{len(to)}"
        grid.add_row(name, whole, str(smallest or ""), f"[red]{', '.join(holes)}[/red]" if holes else "")
    return grid


def holes_in_words(paths: Paths) -> str:
    """Say which pairs lose large packets, which size passes, and what helps."""
    told: dict[tuple[str, str], Path] = {}
    arrows: dict[tuple[str, str], str] = {}
    for (source, to), path in paths.holes.items():
        back = paths.holes.get((to, source))
        if (to, source) in told and back == path:
            arrows[to, source] = "<->"
        else:
            told[source, to], arrows[source, to] = path, "->"
    words = [
        f"{pair[0]} {arrows[pair]} {pair[1]}: of {path.mtu} bytes, {path.passes} pass"
        for pair, path in told.items()
    ]
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return f"black hole: {'; '.join(words[:_NAMED])}{more}. {_remedy(paths.holes, paths)}"


def _remedy(holes: Mapping[tuple[str, str], Path], paths: Paths) -> str:
    carried = min(path.passes for path in holes.values()) + _OVERHEAD
    if carried < _LEAST:
        return f"The network below carries less than {_LEAST} bytes: ask its owner"
    narrow = _narrow_nodes(holes, paths)
    where = " and ".join(narrow) if narrow else "the node with the narrow network"
    return f"Set `underlayMtu: {carried}` for {where} in the stack file (with `mtu: auto`), and run `up`"


def _narrow_nodes(holes: Mapping[tuple[str, str], Path], paths: Paths) -> list[str]:
    """Return the nodes that lose large packets on all their paths, while some other pair does not."""
    nodes = {name for pair in holes for name in pair}
    found = []
    for name in sorted(nodes):
        own = [pair for pair, path in paths.pairs.items() if name in pair and path is not None]
        if len(own) > _SOME and all(pair in holes for pair in own):
            found.append(name)
    others = [pair for pair in holes if not {*pair} & {*found}]
    return [] if others or len(found) == len(nodes) > 1 else found


def as_json(paths: Paths) -> str:
    """Return everything as JSON: whether all is good, MTU and what passes by pair (null: lost), problems."""
    pairs: dict[str, dict[str, dict[str, int] | None]] = {}
    for (source, to), path in paths.pairs.items():
        entry = None if path is None else {"mtu": path.mtu, "passes": path.passes}
        pairs.setdefault(source, {})[to] = entry
    good = not paths.holes and not paths.lost and not paths.problems
    return json.dumps({"good": good, "pairs": pairs, "problems": dict(paths.problems)}, indent=1)
