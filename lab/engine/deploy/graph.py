"""What depends on what in a state (pulumi/pulumi, pkg/resource/graph/dependency_graph.go).

A state lists each resource after all that it needs, so that a URN means the records before.
"""

from collections.abc import Iterable, Sequence

from lab.engine.state.model import ResourceState

__all__ = ["Graph"]


class Graph:
    """The records of a state and what they need: parent, provider, dependencies, what they go with."""

    def __init__(self, records: Sequence[ResourceState]) -> None:
        self._records = records
        self._at: dict[str, list[int]] = {}
        self._children: dict[str, list[int]] = {}
        for index, record in enumerate(records):
            self._at.setdefault(record.urn, []).append(index)
            if record.parent:
                self._children.setdefault(record.parent, []).append(index)

    def dependents(self, urn: str, *, children: bool, ignored: Iterable[str] = ()) -> list[ResourceState]:
        """Return what needs a resource directly or not, in the order of the state.

        With `children` a child needs its parent; what is `ignored` needs nothing.
        """
        reached, passed = {urn}, set(ignored)
        found: list[ResourceState] = []
        for record in self._records[self._at[urn][0] + 1 :]:
            if record.urn in passed:
                continue
            needs = record.needs()
            if not children:
                needs.discard(record.parent)
            if record.urn not in reached and reached & needs:
                reached.add(record.urn)
                found.append(record)
        return found

    def dependencies(self, index: int) -> set[int]:
        """Return the places of what the record at a place needs directly.

        Whoever needs a component needs what is inside it, too.
        """
        record = self._records[index]
        found: set[int] = set()
        for urn in record.needs():
            for place in self._at.get(urn, ()):
                if place >= index:
                    continue
                found.add(place)
                if urn != record.parent and not self._records[place].custom:
                    found |= {inner for inner in self._inside(urn) if inner < index}
        found.discard(index)
        return found

    def _inside(self, urn: str) -> set[int]:
        found: set[int] = set()
        for place in self._children.get(urn, ()):
            if place not in found:
                found |= {place} | self._inside(self._records[place].urn)
        return found

    def closure_of_dependents(self, urns: Iterable[str]) -> set[str]:
        """Return these URNs and those of all that need them, children too."""
        found: set[str] = set()
        for urn in urns:
            if urn in self._at and urn not in found:
                found |= {urn, *(record.urn for record in self.dependents(urn, children=True))}
        return found

    def closure_of_dependencies(self, urns: Iterable[str], *, dependents: bool) -> set[str]:
        """Return these URNs and those of all that they need; with `dependents` also of their dependents."""
        found: set[str] = set()
        frontier = [urn for urn in urns if urn in self._at]
        while frontier:
            urn = frontier.pop()
            if urn in found:
                continue
            found.add(urn)
            for index in self._at[urn]:
                frontier += [self._records[place].urn for place in self.dependencies(index)]
            if dependents:
                frontier += [record.urn for record in self.dependents(urn, children=True)]
        return found
