"""From a preview to a review: what a person has to know, the most important first."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from mesh.names import (
    AGENT_FILE,
    DIRECTORY,
    GENERATIONS,
    MANAGEMENT_KEY,
    MESH_TYPE,
    ROTATION,
    STASH,
    in_a_mesh,
)
from mesh.review.blocks import Block, Bullets, Preformatted, Review, Section, Table, data
from mesh.review.diffs import FileChange, NewNode, file_changes, new_nodes
from mesh.review.egress import Egress, compare_egress
from mesh.review.headline import Ways, headline
from mesh.review.hetzner import CloudFirewalls
from mesh.review.naming import Names, count
from mesh.review.nodes import NodeChange, read_disabled, read_nodes
from mesh.review.outside import compare_outside
from mesh.review.preview import Preview, Step
from mesh.review.reach import Difference, Reach, compare_reach, shown
from mesh.review.rows import Row, rows
from mesh.review.servers import Fate, read_fates, switched_off
from mesh.review.sessions import Pairs, Sessions, compare_sessions, new_roots
from mesh.review.sizes import Sizes, compare_sizes
from mesh.review.ssh import compare_ssh

__all__ = ["make_review"]

_OPS: Final = {
    "create": "to create", "update": "to update", "replace": "to replace", "delete": "to delete",
    "same": "unchanged", "import": "to import", "read": "to read", "refresh": "to refresh",
}  # fmt: skip
_TOLD: Final = {MESH_TYPE, "pulumi:pulumi:Stack"}
_NUMBERS: Final = {GENERATIONS, ROTATION}
_COUNTED: Final = ("delete", "replace", "create", "update")


def make_review(preview: Preview) -> Review:
    """Return the review of a preview."""
    nodes = read_nodes(preview)
    names = Names.of(preview.settings)
    fates = read_fates(nodes, preview.steps)
    inside = compare_reach(nodes, read_disabled(preview))
    outside = compare_outside(nodes, CloudFirewalls.of(preview.steps))
    egress, sessions = compare_egress(nodes), compare_sessions(nodes, new_roots(preview), switched_off(fates))
    ssh = compare_ssh(nodes)
    changes, new = file_changes(nodes), new_nodes(nodes)
    sections = [
        *_messages(preview),
        *_section("Servers", _fates(fates)),
        *_reach("Reaches what was closed before", outside.gained, inside.gained, names),
        *_reach("No longer reaches", outside.lost, inside.lost, names),
        *_section("IPv4 over another node", _egress(egress)),
        *_section("Cannot be told", _untold(nodes, inside, outside)),
        *_section("Sessions that get new keys", _sessions(sessions, names)),
        *_section("SSH access", _ssh(ssh, preview, names)),
        *_section("Packet sizes", _sizes(compare_sizes(nodes))),
        *_section("Other changes", _others(preview, nodes, names)),
        *_section("Files", [*(_file(change, names) for change in changes), *(_new(node) for node in new)]),
    ]
    return Review(
        headline=headline(
            preview,
            fates=fates,
            ways=Ways(inside=inside, outside=outside, egress=egress),
            sessions=sessions,
            ssh={name for _, found in ssh for name in found},
            files={name for change in changes for name in change.nodes},
        ),
        counts=_counts(preview.counts),
        sections=sections,
    )


def _section(heading: str, blocks: Iterable[Block]) -> Iterator[Section]:
    found = list(blocks)
    if found:
        yield Section(heading=heading, blocks=found)


def _counts(counts: Mapping[str, int]) -> str:
    ordered = [*(op for op in _COUNTED if op in counts), *(op for op in counts if op not in _COUNTED)]
    return ", ".join(f"{counts[op]} {_OPS.get(op, data(op))}" for op in ordered if counts[op])


def _messages(preview: Preview) -> Iterator[Section]:
    for severity, heading in (("error", "Errors"), ("warning", "Warnings")):
        found = dict.fromkeys(each.message for each in preview.diagnostics if each.severity == severity)
        lines = [line for message in found for line in message.splitlines()]
        yield from _section(heading, [Preformatted(title=heading.lower(), lines=lines)] if lines else [])


def _fates(fates: Sequence[Fate]) -> Iterator[Block]:
    if fates:
        said: dict[str, list[str]] = {}
        for fate in fates:
            said.setdefault(fate.words, []).append(fate.node)
        lines = [f"**{', '.join(data(name) for name in found)}**: {words}" for words, found in said.items()]
        yield Bullets(title="servers", lines=lines)


def _reach(
    heading: str, outside: Sequence[Difference], inside: Sequence[Difference], names: Names
) -> Iterator[Section]:
    found = [
        *((" and ".join(sorted(row.sources)), row) for row in rows(outside)),
        *((names.several(row.sources), row) for row in rows(inside)),
    ]
    told = [(sources, _whom(row, names), _what(row)) for sources, row in found]
    table = Table(title=heading.lower(), header=("from", "to", "what"), rows=told)
    yield from _section(heading, [table] if told else [])


def _whom(row: Row, names: Names) -> str:
    return "each other" if row.targets == row.sources else names.several(row.targets)


def _what(row: Row) -> str:
    return f"{row.traffic} ({row.note})" if row.note else row.traffic


def _egress(egress: Sequence[Egress]) -> Iterator[Block]:
    if egress:
        yield Bullets(title="egress", lines=[_way_out(each) for each in egress])


def _way_out(egress: Egress) -> str:
    verb = "reaches" if egress.gained else "no longer reaches"
    return f"{data(egress.node)} {verb} the IPv4 internet over {data(egress.over)}"


def _untold(nodes: Mapping[str, NodeChange], *reaches: Reach) -> Iterator[Block]:
    said: dict[str, dict[str, None]] = {}
    for reach in reaches:
        for name, why in reach.untold.items():
            said.setdefault(why, {})[name] = None
    for node in nodes.values():
        if node.hidden:
            said.setdefault("its files are not known before `up`", {})[shown(node.mesh, node.name)] = None
    if said:
        lines = [
            f"who reaches {', '.join(data(name) for name in found)}: {why}" for why, found in said.items()
        ]
        yield Bullets(title="what cannot be told", lines=lines)


def _sessions(sessions: Sessions, names: Names) -> Iterator[Block]:
    again = sessions.interrupted
    lines = [
        *_rekeyed(sessions, sessions.pairs - again, " re-keyed, none interrupted", names),
        *_rekeyed(sessions, sessions.pairs & again, "", names),
    ]
    if sessions.perhaps:
        words = f"{count(len(sessions.perhaps), 'session')}, {_pairs(sessions.perhaps)}"
        lines.append(f"not known before `up` whether keys change: {words}")
    for device in sorted(sessions.devices):
        mesh, _, name = device.rpartition(".")
        option = f" --mesh {data(mesh)}" if mesh else ""
        lines.append(f"{data(device)}: write its configuration again with `mesh client {data(name)}{option}`")
    if lines:
        yield Bullets(title="sessions", lines=lines)


def _rekeyed(sessions: Sessions, pairs: Pairs, how: str, names: Names) -> Iterator[str]:
    """Tell why some of the pairs get other keys."""
    identity, preshared = sessions.identity & pairs, sessions.preshared & pairs
    if identity:
        ends = {name for pair in identity for name in pair}
        whose = ends & sessions.nodes
        yield (
            f"another WireGuard key of {names.several(whose)}: {count(len(identity), 'session')}{how}, with "
            f"{names.several(ends - whose or ends)}"
        )
    if preshared:
        yield f"another pre-shared key: {count(len(preshared), 'session')}{how}, {_pairs(preshared)}"


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return Names.listed([f"{one}/{other}" for one, other in pairs])


def _ssh(changes: Sequence[tuple[str, Sequence[str]]], preview: Preview, names: Names) -> Iterator[Block]:
    lines = [
        "the management key, with which this program logs in, is replaced"
        for step in preview.changes
        if step.state.type == STASH and step.name.endswith(MANAGEMENT_KEY) and step.op == "replace"
    ]
    lines += [f"{names.several(found)}: {words}" for words, found in changes]
    if lines:
        yield Bullets(title="SSH access", lines=lines)


def _sizes(sizes: Sizes) -> Iterator[Block]:
    lines = [
        f"at most {data(after)} bytes inside the tunnel instead of {data(before)}: "
        f"{count(len(pairs), 'pair')}, {_pairs(sorted(pairs))}"
        for (before, after), pairs in sizes.items()
    ]
    if lines:
        yield Bullets(title="packet sizes", lines=lines)


def _others(preview: Preview, nodes: Mapping[str, NodeChange], names: Names) -> Iterator[Block]:
    """Tell the agent, what nodes share, and resources that are no part of a mesh."""
    agents = [shown(node.mesh, node.name) for node in nodes.values() if _new_agent(node)]
    lines = [f"{names.several(agents)}: another version of the agent"] if agents else []
    parts = {id(step) for node in nodes.values() for step in node.steps}
    said: dict[str, list[str]] = {}
    for step in preview.changes:
        told = step.state.type in _TOLD or (step.state.type == STASH and _is_told(step))
        if id(step) not in parts and not told:
            where = "the mesh" if in_a_mesh(step.urn) else "other resources"
            kind = step.state.type.rpartition(":")[2]
            said.setdefault(f"{where}: {data(step.op)} {data(kind)}", []).append(step.name)
    lines += [f"{words} {Names.listed(found)}" for words, found in sorted(said.items())]
    if lines:
        yield Bullets(title="other changes", lines=lines)


def _is_told(step: Step) -> bool:
    """Whether what a stash is for is told elsewhere: numbers of keys are told by the sessions."""
    name = step.name.rpartition(".")[2]
    return name.endswith(DIRECTORY) or (step.op == "update" and name in _NUMBERS)


def _new_agent(node: NodeChange) -> bool:
    return any(step.op == "update" and step.name.endswith(f"-{AGENT_FILE}") for step in node.steps)


def _file(change: FileChange, names: Names) -> Block:
    alike = ": the same change" if len(change.nodes) > 1 else ""
    title = f"{names.several(change.nodes)}{alike}: {data(change.path)}"
    return Preformatted(title=title, caption=title, lines=change.lines, language="diff")


def _new(node: NewNode) -> Block:
    lines = [line for path, text in node.files.items() for line in (f"==> {path} <==", *text.splitlines())]
    title = f"{data(node.name)} is new, with these files"
    return Preformatted(title=title, caption=title, lines=lines, closed=True)
