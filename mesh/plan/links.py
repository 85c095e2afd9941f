"""Pure: which nodes of a mesh have a path to each other: a tunnel, or a relay between nodes behind NAT."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations

from mesh.settings import Settings, linked_pairs, members_by_name
from mesh.settings.callers import NO_ENDPOINT, relay_of

__all__ = ["Links", "plan_links"]


@dataclass(frozen=True, kw_only=True)
class Links:
    """The pairs of nodes that have a path (None: every pair), and the relay of each pair that needs one."""

    pairs: Collection[frozenset[str]] | None
    relays: Mapping[frozenset[str], str]

    def between(self, one: str, other: str) -> bool:
        """Whether two nodes have a path to each other."""
        return one != other and (self.pairs is None or frozenset((one, other)) in self.pairs)

    def relay(self, one: str, other: str) -> str | None:
        """Return the node that passes on what two nodes send each other; None where they have a tunnel."""
        return self.relays.get(frozenset((one, other)))

    def relayed_by(self, relay: str) -> Iterator[tuple[str, str]]:
        """Yield the pairs that a node passes packets on for, each in both directions, sorted by name."""
        for pair in sorted(sorted(pair) for pair, name in self.relays.items() if name == relay):
            yield pair[0], pair[1]
            yield pair[1], pair[0]

    def over(self, viewer: str, relay: str) -> Collection[str]:
        """Return the nodes that one reaches over a relay."""
        return self._over.get((viewer, relay), ())

    @cached_property
    def _over(self) -> Mapping[tuple[str, str], Collection[str]]:
        found: dict[tuple[str, str], set[str]] = {}
        for pair, relay in self.relays.items():
            for one, other in permutations(pair):
                found.setdefault((one, relay), set()).add(other)
        return found

    def of(self, name: str, everyone: Collection[str]) -> tuple[str, ...] | None:
        """Return whom a node has a path to, in alphabetical order; None where that is everyone."""
        if self.pairs is None:
            return None
        return tuple(sorted(other for other in everyone if self.between(name, other)))


def plan_links(settings: Settings) -> Links:
    """Return the links of a mesh, whether its nodes are enabled or not."""
    pairs = None
    if settings.links is not None:
        members = members_by_name({name: node.groups for name, node in settings.nodes.items()})
        pairs = linked_pairs(settings.links, members)
    return Links(pairs=pairs, relays=dict(_relays(settings, pairs)))


def _relays(
    settings: Settings, pairs: frozenset[frozenset[str]] | None
) -> Iterator[tuple[frozenset[str], str]]:
    callers = frozenset(name for name, node in settings.nodes.items() if node.endpoint == NO_ENDPOINT)
    named = {name: node.relay for name, node in settings.nodes.items() if node.relay is not None}
    for pair in map(frozenset, combinations(sorted(callers), 2)):
        relay = relay_of(pair, named, callers, pairs) if pairs is None or pair in pairs else None
        if relay is not None:
            yield pair, relay
