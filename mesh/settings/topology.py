"""Links: which pairs of nodes have a tunnel, where not every node has one to every other node."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

from pydantic_core import PydanticCustomError

from mesh.settings.groups import EVERY_NODE, members_by_name, members_in
from mesh.settings.meant import plain
from mesh.settings.names import host_name
from mesh.settings.problems import REMOVED, Told, another_value, nearest, nearest_of, refuse, show
from mesh.settings.raw import Finding, listed, read
from mesh.settings.routes import is_network, node_of

__all__ = ["Pair", "check_links", "link", "linked_pairs", "unlinked_by_rule", "unlinked_rules"]

Pair = frozenset[str]
"""Two nodes, in no order."""

_ENDS: Final = 2
_NAMED: Final = 3


def link(value: object) -> tuple[str, str]:
    """Two names: every node of one has a tunnel to every node of the other."""
    if not isinstance(value, list | tuple) or len(value) != _ENDS:
        raise refuse(f"{show(value)} is not a link of two names; write for example [web, db]")
    try:
        first, second = (host_name(end) for end in value)
    except PydanticCustomError as error:
        raise refuse(str(error), *_mended(value)) from None
    return first, second


def _mended(value: Sequence[object]) -> Iterator[list[object]]:
    """Yield the link with the names that are meant."""
    ends: list[object] = []
    for end in value:
        try:
            ends.append(host_name(end))
        except PydanticCustomError as error:
            instead = (error.context or {}).get("instead", ())
            if not instead:
                return
            ends.append(instead[0].write)
    yield ends


def linked_pairs(links: Iterable[Sequence[str]], members: Mapping[str, Iterable[str]]) -> frozenset[Pair]:
    """Return the pairs that have a tunnel; `members` has the nodes behind each name."""
    return frozenset(
        frozenset((one, other))
        for first, second in links
        for one, other in product(members.get(first, ()), members.get(second, ()))
        if one != other
    )


def check_links(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """Names that there are, links that link something, no link twice, no node without a link."""
    given = listed(raw, "links")
    members = members_in(raw)
    seen: dict[Pair, int] = {}
    whole = bool(given)
    for index, value in enumerate(given):
        ends = read(link, value)
        unknown = [] if ends is None else [end for end in ends if end not in members]
        whole = whole and ends is not None and not unknown
        if ends is None:
            continue
        if unknown:
            yield ("links", index), _nobody(ends, unknown[0], members)
        elif not linked_pairs([ends], members):
            message = (
                f"links nothing: both ends are {_some(members[ends[0]])} alone; name another node, or remove "
                f"the link"
            )
            yield ("links", index), Told(message, (REMOVED,))
        elif frozenset(ends) in seen:
            message = f"says the same as links[{seen[frozenset(ends)]}]; remove one"
            yield ("links", index), Told(message, (REMOVED,))
        seen.setdefault(frozenset(ends), index)
    if whole:
        yield from _left_out(raw, members)
        yield from unlinked_rules(raw, members)


def _nobody(ends: Sequence[str], name: str, members: Mapping[str, Any]) -> Told:
    near = nearest_of(plain(name), members)
    message = f"{name} is neither a group nor a node; {nearest(name, members)}"
    meant = [near if end == name else end for end in ends]
    return Told(message, another_value(meant) if near is not None and len(set(meant)) > 1 else ())


def _left_out(raw: Mapping[Any, Any], members: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
    """A node that no link names can reach nobody: it would be a server outside the mesh."""
    linked = set().union(*_pairs(raw, members))
    alone = sorted(members["all"] - linked)
    if alone:
        verb = "has" if len(alone) == 1 else "have"
        message = (
            f"{_some(alone)} {verb} no link, so no other node reaches {alone[0]}; give {alone[0]} a link, "
            f"such as [{alone[0]}, all]"
        )
        yield ("links",), message


def unlinked_rules(raw: Mapping[Any, Any], members: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
    """Rules of the policy that no linked pair can use."""
    pairs = _pairs(raw, members)
    for index, rule in enumerate(listed(raw, "policy")):
        ends = [[str(name) for name in listed(rule, key)] for key in ("from", "to")]
        if not all(ends) or not all(name in members for name in (*ends[0], *ends[1])):
            continue
        sources, targets = (set().union(*(members[name] for name in names)) for names in ends)
        both = [(one, other) for one, other in product(sources, targets) if one != other]
        wanted = {frozenset((node_of(one), node_of(other))) for one, other in both}
        # a node and what is behind it need no link
        if wanted and not wanted & pairs and all(len(pair) > 1 for pair in wanted):
            shown = f"[{', '.join(ends[0])}] to [{', '.join(ends[1])}]"
            message = (
                f"matches no pair of nodes: links has no link from {shown}; add "
                f"{_link_for(ends, members)} to links, or remove the rule"
            )
            yield ("policy", index), Told(message, (REMOVED,))


def _link_for(ends: Sequence[Sequence[str]], members: Mapping[str, frozenset[str]]) -> str:
    """Return a link that a rule can use; a link names nodes, so a network's node stands for the network."""
    for first, second in product(*ends):
        nodes = [sorted(map(node_of, members[name])) for name in (first, second)]
        if len({*nodes[0], *nodes[1]}) > 1:
            break
    one, other = (
        behind[0] if is_network(name) else name for name, behind in zip((first, second), nodes, strict=True)
    )
    return f"[{one}, {other}]"


def unlinked_by_rule(
    links: Iterable[Sequence[str]],
    groups: Mapping[str, Iterable[str]],
    sources: Sequence[str],
    targets: Sequence[str],
) -> list[tuple[str, str]]:
    """Return the pairs without a link that a rule of the policy names; `all` names nobody in particular.

    `groups` has the groups of every node.
    """
    if EVERY_NODE in (*sources, *targets):
        return []
    members = members_by_name(groups)
    pairs = linked_pairs(links, members)
    ends = [
        sorted({node for name in names for node in members.get(name, ())}) for names in (sources, targets)
    ]
    return [
        (one, other) for one, other in product(*ends) if one != other and frozenset((one, other)) not in pairs
    ]


def _pairs(raw: Mapping[Any, Any], members: Mapping[str, frozenset[str]]) -> frozenset[Pair]:
    return linked_pairs((ends for value in listed(raw, "links") if (ends := read(link, value))), members)


def _some(names: Iterable[str]) -> str:
    found = sorted(names)
    more = len(found) - _NAMED
    return ", ".join(found[:_NAMED]) + (f" and {more} more" if more > 0 else "")
