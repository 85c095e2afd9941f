"""Which resources must go first when one is deleted before it is replaced."""

from lab.engine.deploy.diffs import is_replacement, with_replace_on_changes
from lab.engine.deploy.graph import Graph
from lab.engine.deploy.journal import Journal
from lab.engine.deploy.providers import FindProvider
from lab.engine.deploy.views import as_resource, seen_by
from lab.engine.state.model import ResourceState
from lab.engine.values import UNKNOWN

__all__ = ["Dependents"]


class Dependents:
    """Dependents of what is deleted first (step_generator.go, calculateDependentReplacements)."""

    def __init__(self, journal: Journal, provider: FindProvider) -> None:
        self._journal = journal
        self._graph: Graph | None = None
        self._provider = provider
        self._gone: set[object] = set()
        self.keys: dict[str, tuple[str, ...]] = {}
        """For what has been deleted along: the properties for which it has to be."""

    async def of(self, root: ResourceState, decided: set[str]) -> list[ResourceState]:
        """Return what must be deleted before a resource is, each before what it needs.

        What has been `decided` no longer needs it.
        """
        if self._graph is None:
            self._graph = Graph(self._journal.found())
        replaced = {root.urn}
        found: list[tuple[ResourceState, tuple[str, ...]]] = []
        for record in self._graph.dependents(root.urn, children=False, ignored=decided):
            candidate = self._current(record)
            keys = await self._replaced_by(candidate, replaced)
            if keys is not None:
                replaced.add(candidate.urn)
                found.append((candidate, keys))
        olds = self._journal.by_urn().values()
        tied = [(old, ()) for old in olds if root.urn in (old.deleted_with, *old.replace_with)]
        dependents = []
        for record, keys in reversed([*found, *tied]):
            mark: object = id(record) if record.delete else record.urn
            if mark not in self._gone:
                self._gone.add(mark)
                self.keys[record.urn] = keys
                dependents.append(record)
        return dependents

    def _current(self, record: ResourceState) -> ResourceState:
        return record if record.delete else self._journal.by_urn().get(record.urn, record)

    async def _replaced_by(self, candidate: ResourceState, replaced: set[str]) -> tuple[str, ...] | None:
        """Return the keys for which a resource would be replaced along; None when it stays."""
        if not candidate.custom or candidate.external:
            return None
        if {candidate.deleted_with, candidate.provider_urn} & replaced:
            return ()
        touched = {
            name
            for name, urns in candidate.property_dependencies.items()
            if name in candidate.inputs and replaced & set(urns)
        }
        provider = await self._provider(candidate) if touched else None
        if provider is None:
            return None
        inputs = {name: UNKNOWN if name in touched else value for name, value in candidate.inputs.items()}
        old = as_resource(candidate, provider)
        diff = await provider.diff(old, seen_by(provider, inputs), candidate.ignore_changes)
        diff = with_replace_on_changes(diff, candidate.replace_on_changes, failed_before=False)
        return tuple(diff.replaces) if is_replacement(diff) else None
