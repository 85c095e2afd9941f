"""Nodes behind NAT: nobody can call a node with `endpoint: none`, so two of these need a relay."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, Final

from mesh.settings.groups import members_in
from mesh.settings.names import host_name
from mesh.settings.problems import REMOVED, Told, another_value, nearest, nearest_of
from mesh.settings.raw import Finding, listed, nodes, read
from mesh.settings.topology import Pair, link, linked_pairs

__all__ = ["NO_ENDPOINT", "check_callers", "linked_in", "relay_of"]

NO_ENDPOINT: Final = "none"
"""What `endpoint` says of a node that only ever calls."""
_NAMED: Final = 3


def relay_of(
    pair: Pair, relays: Mapping[str, str], callers: frozenset[str], linked: frozenset[Pair] | None
) -> str | None:
    """Return the node over which two callers reach each other; None where there is none.

    `relays` has what each node names. Where both name another one, the first in the alphabet counts that has
    a link to both; `linked` None means that all nodes are linked.
    """
    for relay in sorted({relays[name] for name in pair if name in relays}):
        ends = (frozenset((relay, name)) for name in pair)
        if (
            relay not in callers
            and relay not in pair
            and (linked is None or all(end in linked for end in ends))
        ):
            return relay
    return None


def check_callers(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """A relay can be reached and has links to both ends; two callers have a relay, or no link."""
    everyone = nodes(raw)
    callers = frozenset(name for name, node in everyone.items() if _value(node, "endpoint") == NO_ENDPOINT)
    linked = linked_in(raw)
    relays = {
        name: relay
        for name, node in everyone.items()
        if (relay := read(host_name, _value(node, "relay"))) is not None
    }
    wrong = set()
    for name, relay in relays.items():
        told = _no_relay(name, relay, raw, callers, linked)
        if told is not None:
            wrong.add(name)
            yield ("nodes", name, "relay"), told
    for name in everyone:
        alone = [
            other
            for one, other in combinations(sorted(callers), 2)
            if one == name
            and not {one, other} & wrong
            and (linked is None or frozenset((one, other)) in linked)
            and relay_of(frozenset((one, other)), relays, callers, linked) is None
        ]
        if alone:
            yield ("nodes", name, "endpoint"), _no_path(name, alone, everyone, callers)
    for name in sorted(callers):
        pairs = [frozenset((name, other)) for other in sorted(callers - {name})]
        relayed = [pair for pair in pairs if linked is None or pair in linked]
        if listed(everyone[name], "routes") and any(
            relay_of(pair, relays, callers, linked) is not None for pair in relayed
        ):
            yield ("nodes", name, "routes"), _not_behind(name, *(relayed[0] - {name}))


def _no_relay(
    name: str, relay: str, raw: Mapping[Any, Any], callers: frozenset[str], linked: frozenset[Pair] | None
) -> Told | None:
    """Say why a node cannot have this relay; None where it can."""
    everyone = nodes(raw)
    others = [each for each in everyone if each != name and each not in callers]
    if relay not in everyone:
        near = nearest_of(relay, others)
        return Told(
            f"{relay} is no node of this mesh; {nearest(relay, others)}", another_value(near) if near else ()
        )
    if name not in callers:
        message = (
            f"{name} has an endpoint, so all nodes reach {name} without a relay; remove relay, or add "
            f"`endpoint: none`"
        )
        return Told(message, (REMOVED,))
    if relay in callers:
        who = "the node itself" if relay == name else "a node with `endpoint: none`, which nobody can call"
        return Told(f"{relay} is {who}; name a node that has an endpoint")
    if _value(everyone[name], "enabled") is not False and _value(everyone[relay], "enabled") is False:
        return Told(f"{relay} is not enabled, so no packet passes there; name a node that is enabled")
    if linked is not None and frozenset((name, relay)) not in linked:
        return Told(f"links has no link between {name} and {relay}; write [{name}, {relay}] there")
    return None


def _no_path(name: str, others: list[str], everyone: Mapping[str, Any], callers: frozenset[str]) -> str:
    more = len(others) - _NAMED
    shown = ", ".join(others[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    reached = next((each for each in everyone if each not in callers), None)
    helps = (
        f"give {name} a relay, such as `relay: {reached}`"
        if reached
        else "no node of this mesh has an endpoint, so add a node that has one, as the relay"
    )
    return (
        f"{name} and {shown} have no path to each other: nobody can call a node with `endpoint: none`; "
        f"{helps}, or leave the pair out with links"
    )


def _not_behind(name: str, other: str) -> str:
    return (
        f"{other} reaches {name} over a relay, and a relay passes on nothing for networks behind a node; put "
        f"the networks behind a node that has an endpoint, or leave {name} and {other} out with links"
    )


def linked_in(raw: Mapping[Any, Any]) -> frozenset[Pair] | None:
    """Return the linked pairs of a raw mesh; None where all are."""
    if raw.get("links") is None:
        return None
    given = (ends for value in listed(raw, "links") if (ends := read(link, value)))
    return linked_pairs(given, members_in(raw))


def _value(node: object, key: str) -> object:
    return node.get(key) if isinstance(node, Mapping) else None
