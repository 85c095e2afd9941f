"""The state while an operation runs: what is done, what is left of before, what is under way."""

from collections.abc import Callable
from dataclasses import replace

from lab.engine.state.model import PendingOperation, ResourceState, Snapshot

__all__ = ["Journal"]


class Journal:
    """Keeps the snapshot current and saves it before a provider is called and after it answered."""

    def __init__(self, base: Snapshot, save: Callable[[Snapshot], None] | None) -> None:
        self._base = list(base.resources)
        self._metadata = base.metadata
        self._news: list[ResourceState] = []
        # operations an earlier run left behind; only a refresh may clear them
        self._left = list(base.pending_operations)
        self._pending: list[PendingOperation] = []
        self._save = save

    def snapshot(self) -> Snapshot:
        """Return the state as it is now."""
        return Snapshot(
            resources=[*self._news, *self._base],
            pending_operations=[*self._left, *self._pending],
            metadata=self._metadata,
        )

    def save(self) -> None:
        """Write the state; a preview writes nothing."""
        if self._save is not None:
            self._save(self.snapshot())

    def begin(self, resource: ResourceState, kind: str) -> PendingOperation:
        """Record that an operation is about to begin."""
        pending = PendingOperation(resource=resource, type=kind)
        self._pending.append(pending)
        self.save()
        return pending

    def end(self, pending: PendingOperation | None) -> None:
        """Forget an operation that has ended, well or not; the caller saves."""
        if pending is not None:
            self._pending = [item for item in self._pending if item is not pending]

    def add(self, new: ResourceState, old: ResourceState | None = None) -> None:
        """A resource is as `new` says; what it was before is no longer."""
        if old is not None:
            self._remove(old)
        self._news.append(new)

    def update(self, old: ResourceState, new: ResourceState) -> None:
        """Put another record of the same resource in the place of one that is there."""
        for records in (self._news, self._base):
            for index, record in enumerate(records):
                if record is old:
                    records[index] = new
                    return

    def condemn(self, old: ResourceState) -> ResourceState:
        """Mark a resource as replaced and still to be deleted."""
        condemned = replace(old, delete=True)
        self.update(old, condemned)
        return condemned

    def remove(self, old: ResourceState) -> None:
        """A resource is gone."""
        self._remove(old)

    def _remove(self, old: ResourceState) -> None:
        self._base = [record for record in self._base if record is not old]
        self._news = [record for record in self._news if record is not old]

    def settle_left(self, *, creates: bool) -> None:
        """Forget what an earlier run left under way; what it was creating only when told so."""
        self._left = [] if creates else [item for item in self._left if item.type == "creating"]

    def drop_dangling(self) -> None:
        """Take URNs of resources that are gone out of the records of those that are left."""
        known = {record.urn for record in (*self._news, *self._base)}
        self._base = [_without_dangling(record, known) for record in self._base]


def _without_dangling(record: ResourceState, known: set[str]) -> ResourceState:
    if not record.needs() - known:
        return record
    return replace(
        record,
        dependencies=[urn for urn in record.dependencies if urn in known],
        property_dependencies={
            name: [urn for urn in urns if urn in known] for name, urns in record.property_dependencies.items()
        },
        deleted_with=record.deleted_with if record.deleted_with in known else "",
    )
