"""The one sentence of a review."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mesh.review.egress import Egress
from mesh.review.naming import Names, count
from mesh.review.preview import Preview
from mesh.review.reach import Difference, Reach
from mesh.review.servers import Fate, Kind
from mesh.review.sessions import Sessions
from mesh.review.traffic import EVERYTHING, Traffic

__all__ = ["NOTHING_CHANGES", "Ways", "headline"]

NOTHING_CHANGES: Final = "Nothing changes"
_SERVERS: Final = {
    Kind.DELETED: "deleted",
    Kind.REPLACED: "deleted and made anew",
    Kind.POWERED_OFF: "powered off",
    Kind.STARTED: "started",
    Kind.CREATED: "created",
}
_NODES: Final = {
    Kind.DISABLED: ("leaves", "leave", "the mesh"),
    Kind.RENAMED: ("is", "are", "renamed"),
    Kind.ENABLED: ("joins", "join", "the mesh again"),
    Kind.JOINED: ("joins", "join", "the mesh"),
}


@dataclass(frozen=True, kw_only=True)
class Ways:
    """What can be reached before and after: `inside` the mesh, from `outside`, and by `egress`."""

    inside: Reach
    outside: Reach
    egress: Sequence[Egress]


def headline(
    preview: Preview,
    *,
    fates: Sequence[Fate],
    ways: Ways,
    sessions: Sessions,
    ssh: Collection[str],
    files: Collection[str],
) -> str:
    """Return the sentence, without its full stop; `ssh` and `files` are nodes where these change."""
    errors = sum(each.severity == "error" for each in preview.diagnostics)
    if errors:
        return f"The preview failed with {count(errors, 'error')}; the rest is as far as it came"
    parts = [
        *_of_servers(fates),
        *_of_reach(ways, fates),
        *_of_egress(ways.egress),
        *_of_sessions(sessions),
        *_of_nodes(ssh, files),
    ]
    if parts:
        sentence = "; ".join(parts)
        return sentence[0].upper() + sentence[1:]
    changes = sum(1 for _ in preview.changes)
    return f"{count(changes, 'resource')} change, nothing on nodes" if changes else NOTHING_CHANGES


def _of_servers(fates: Sequence[Fate]) -> Iterator[str]:
    by_kind: dict[Kind, set[str]] = {}
    for fate in fates:
        by_kind.setdefault(fate.kind, set()).add(fate.node)
    for kind, found in sorted(by_kind.items()):
        if kind in _SERVERS:
            verb = "is" if len(found) == 1 else "are"
            yield f"{count(len(found), 'server')} {verb} {_SERVERS[kind]} ({Names.listed(found)})"
        elif kind in _NODES:
            one, several, rest = _NODES[kind]
            verb = one if len(found) == 1 else several
            yield f"{count(len(found), 'node')} {verb} {rest} ({Names.listed(found)})"


def _of_reach(ways: Ways, fates: Sequence[Fate]) -> Iterator[str]:
    gone = {fate.node for fate in fates if fate.kind == Kind.DELETED}
    opened = {each.target for each in ways.outside.gained if _counts(each)}
    if opened:
        yield f"the internet reaches more on {Names.listed(opened)}"
    closed = {each.target for each in ways.outside.lost if _counts(each)} - opened - gone
    if closed:
        yield f"the internet reaches less on {Names.listed(closed)}"
    for differences, words in ((ways.inside.gained, "opens"), (ways.inside.lost, "closes")):
        pairs = {(each.source, each.target) for each in differences}
        if pairs:
            verb = words if len(pairs) == 1 else words.removesuffix("s")
            yield f"{count(len(pairs), 'way')} between nodes {verb}"


def _counts(difference: Difference) -> bool:
    """Whether it is more than a ping."""
    return bool(difference.traffic and difference.traffic - Traffic(icmp=EVERYTHING.icmp))


def _of_egress(egress: Sequence[Egress]) -> Iterator[str]:
    """Yield which nodes get another way to the IPv4 internet, and which lose theirs."""
    gained = {each.node for each in egress if each.gained}
    lost = {each.node for each in egress if not each.gained} - gained
    for nodes, one, several in (
        (gained, "reaches", "reach"),
        (lost, "no longer reaches", "no longer reach"),
    ):
        if nodes:
            verb = one if len(nodes) == 1 else several
            what = f"{count(len(nodes), 'node')} {verb} the IPv4 internet over another node"
            yield f"{what} ({Names.listed(nodes)})"


def _of_sessions(sessions: Sessions) -> Iterator[str]:
    rotated = sessions.pairs - sessions.interrupted
    if rotated:
        yield f"{count(len(rotated), 'session')} re-keyed, none interrupted"
    again = sessions.pairs & sessions.interrupted
    if again:
        verb = "gets" if len(again) == 1 else "get"
        yield f"{count(len(again), 'session')} {verb} new keys"
    if sessions.devices:
        verb = "needs its configuration" if len(sessions.devices) == 1 else "need their configurations"
        yield f"{count(len(sessions.devices), 'client')} {verb} again ({Names.listed(sessions.devices)})"


def _of_nodes(ssh: Collection[str], files: Collection[str]) -> Iterator[str]:
    if changed := set(ssh) & set(files):
        yield f"SSH access changes on {count(len(changed), 'node')}"
    if files:
        yield f"files change on {count(len(files), 'node')}"
