"""Short words for many nodes: the group that they are, all of them, or the first few and how many more."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mesh.review.blocks import data

__all__ = ["Names", "count"]

_FEW: Final = 6
"""Names of one list; more are counted."""


def count(number: int, one: str, many: str = "") -> str:
    """Return `1 node`, `2 nodes`."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


@dataclass(frozen=True, kw_only=True)
class Names:
    """The nodes of the new stack file by name, and its groups; both empty where it is not known."""

    nodes: frozenset[str] = frozenset()
    groups: Mapping[frozenset[str], str] = field(default_factory=dict)

    @staticmethod
    def of(settings: Mapping[str, Any]) -> "Names":
        """Read them; what has another shape than in a stack file is left out."""
        nodes = settings.get("nodes")
        known = {str(name): node for name, node in nodes.items()} if isinstance(nodes, Mapping) else {}
        members: dict[str, set[str]] = {}
        for name, node in known.items():
            groups = node.get("groups") if isinstance(node, Mapping) else None
            for group in groups if isinstance(groups, list) else ():
                members.setdefault(str(group), set()).add(name)
        return Names(
            nodes=frozenset(known),
            groups={frozenset(each): group for group, each in sorted(members.items()) if len(each) > 1},
        )

    def several(self, names: Collection[str]) -> str:
        """Return words for these nodes."""
        wanted = frozenset(names)
        if len(wanted) > 2 and wanted == self.nodes:
            return f"all {len(wanted)} nodes"
        if wanted in self.groups:
            return f"{data(self.groups[wanted])} ({self.listed(wanted)})"
        missing = self.nodes - wanted
        if len(wanted) > _FEW and wanted < self.nodes and len(missing) <= 2:
            return f"all nodes but {self.listed(missing)}"
        return self.listed(wanted)

    @staticmethod
    def listed(names: Iterable[str]) -> str:
        """Return the names in order, the first few of many."""
        ordered = [data(name) for name in sorted(names, key=_natural)]
        if len(ordered) <= _FEW + 1:
            return ", ".join(ordered)
        return f"{', '.join(ordered[:_FEW])} and {len(ordered) - _FEW} more"


def _natural(name: str) -> tuple[Any, ...]:
    """`web-10` comes after `web-9`."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in name.split("-"))
