"""Pure: which nodes of a mesh have a tunnel to each other."""

from collections.abc import Collection
from dataclasses import dataclass

from mesh.settings import Settings, linked_pairs, members_by_name

__all__ = ["Links", "plan_links"]


@dataclass(frozen=True, kw_only=True)
class Links:
    """The pairs of nodes that have a tunnel; None: every pair."""

    pairs: Collection[frozenset[str]] | None

    def between(self, one: str, other: str) -> bool:
        """Whether two nodes have a tunnel to each other."""
        return one != other and (self.pairs is None or frozenset((one, other)) in self.pairs)

    def of(self, name: str, everyone: Collection[str]) -> tuple[str, ...] | None:
        """Return whom a node has a tunnel to, in alphabetical order; None where that is everyone."""
        if self.pairs is None:
            return None
        return tuple(sorted(other for other in everyone if self.between(name, other)))


def plan_links(settings: Settings) -> Links:
    """Return the links of a mesh, whether its nodes are enabled or not."""
    if settings.links is None:
        return Links(pairs=None)
    members = members_by_name({name: node.groups for name, node in settings.nodes.items()})
    return Links(pairs=linked_pairs(settings.links, members))
