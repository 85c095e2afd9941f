"""The state while an operation runs: what is done, what is left of before, what is under way."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from types import MappingProxyType

from lab.engine.state.model import STACK_TYPE, PendingOperation, ResourceState, Snapshot, urn_name, urn_type

__all__ = ["Journal"]


class _Records:
    """Records in order, each found by its identity at once."""

    def __init__(self, records: Iterable[ResourceState] = ()) -> None:
        self._slots = count()
        self._records: dict[int, ResourceState] = {}
        self._slot_of: dict[int, int] = {}
        for record in records:
            self.append(record)

    def __iter__(self) -> Iterator[ResourceState]:
        return iter(self._records.values())

    def append(self, record: ResourceState) -> None:
        slot = next(self._slots)
        self._records[slot] = record
        self._slot_of[id(record)] = slot

    def replace(self, old: ResourceState, new: ResourceState) -> bool:
        slot = self._slot_of.pop(id(old), None)
        if slot is None:
            return False
        self._records[slot] = new
        self._slot_of[id(new)] = slot
        return True

    def remove(self, record: ResourceState) -> None:
        slot = self._slot_of.pop(id(record), None)
        if slot is not None:
            del self._records[slot]


class _ByURN:
    """What has become of each record of the state before, by the URN it had then."""

    def __init__(self, records: Iterable[ResourceState]) -> None:
        self._records = {record.urn: record for record in records if not record.delete}
        self._urns = {id(record): urn for urn, record in self._records.items()}
        self.view: Mapping[str, ResourceState] = MappingProxyType(self._records)

    def replace(self, old: ResourceState, new: ResourceState) -> None:
        urn = self._urns.pop(id(old), None)
        if urn is not None:
            self._records[urn] = new
            self._urns[id(new)] = urn

    def remove(self, record: ResourceState) -> None:
        urn = self._urns.pop(id(record), None)
        if urn is not None:
            del self._records[urn]


class Journal:
    """Keeps the snapshot current and saves it before a provider is called and after it answered.

    It alone knows what has become of the state before; whoever decides or does asks it.
    """

    def __init__(self, base: Snapshot, save: Callable[[Snapshot], None] | None) -> None:
        self._base = _Records(base.resources)
        self._by_urn = _ByURN(base.resources)
        self._found = list(base.resources)
        self._metadata = base.metadata
        self._news = _Records()
        # What an earlier run was creating; only a refresh may clear that. Other operations are told once and
        # forgotten (pulumi/pulumi, pkg/backend/snapshot.go, snap).
        self._left = [item for item in base.pending_operations if item.type == "creating"]
        self._pending: dict[int, PendingOperation] = {}
        self._renamed: dict[str, str] = {}
        self._save = save
        self._wanted = self._written = 0
        self._writing: asyncio.Task[None] | None = None

    def snapshot(self) -> Snapshot:
        """Return the state as it is now."""
        resources = [*self._news, *self._base]
        if self._renamed:
            resources = _renamed(resources, self._renamed)
        return Snapshot(
            resources=resources,
            pending_operations=[*self._left, *self._pending.values()],
            metadata=self._metadata,
        )

    def base(self) -> list[ResourceState]:
        """Return what is left of the state before, in its order."""
        return list(self._base)

    def by_urn(self) -> Mapping[str, ResourceState]:
        """Return a view of what each resource of the state before is now, by the URN it had then.

        Records that were condemned before this operation have no place in it.
        """
        return self._by_urn.view

    def found(self) -> list[ResourceState]:
        """Return the state before, in its order, as it was when the first decision could be made."""
        return list(self._found)

    def news(self) -> list[ResourceState]:
        """Return what this operation has already dealt with, in the order in which it did."""
        return list(self._news)

    async def save(self) -> None:
        """Return once the state is written as it is now; a preview writes nothing.

        Steps that wait for this at the same time share one write.
        """
        if self._save is None:
            return
        self._wanted += 1
        mine = self._wanted
        while self._written < mine:
            if self._writing is None:
                self._writing = asyncio.create_task(self._write(self._save))
            await asyncio.shield(self._writing)

    async def _write(self, save: Callable[[Snapshot], None]) -> None:
        try:
            await asyncio.sleep(0)  # those that are ready to join do so
            upto = self._wanted
            save(self.snapshot())
            self._written = upto
        finally:
            self._writing = None

    async def begin(self, resource: ResourceState, kind: str) -> PendingOperation:
        """Record that an operation is about to begin."""
        pending = PendingOperation(resource=resource, type=kind)
        self._pending[id(pending)] = pending
        await self.save()
        return pending

    def end(self, pending: PendingOperation | None) -> None:
        """Forget an operation that has ended, well or not; the caller saves."""
        if pending is not None:
            self._pending.pop(id(pending), None)

    def add(self, new: ResourceState, old: ResourceState | None = None) -> None:
        """A resource is as `new` says; what it was before is no longer."""
        if old is not None:
            self._by_urn.replace(old, new)
            self._take_out(old)
            if old.urn != new.urn:
                self._renamed[old.urn] = new.urn
        self._news.append(new)

    def update(self, old: ResourceState, new: ResourceState) -> None:
        """Put another record of the same resource in the place of one that is there."""
        self._by_urn.replace(old, new)
        if not self._news.replace(old, new):
            self._base.replace(old, new)

    def condemn(self, old: ResourceState) -> ResourceState:
        """Mark a resource as replaced and still to be deleted."""
        condemned = replace(old, delete=True)
        self.update(old, condemned)
        return condemned

    def remove(self, old: ResourceState) -> None:
        """A resource is gone."""
        self._by_urn.remove(old)
        self._take_out(old)

    def _take_out(self, old: ResourceState) -> None:
        self._base.remove(old)
        self._news.remove(old)

    def interrupted_creates(self) -> list[PendingOperation]:
        """Return the creations that an earlier run began and of which no end is known."""
        return list(self._left)

    def settle(self, left: PendingOperation) -> None:
        """Forget one operation of an earlier run: what it left behind is known; the caller saves."""
        self._left = [item for item in self._left if item is not left]

    def forget_left(self) -> None:
        """Forget what an earlier run was creating; the caller saves."""
        self._left = []

    def mend(self) -> None:
        """Take what resources that are gone were to others out of the records that are left."""
        known: set[str] = set()
        for record in self.base():
            mended = _mended(record, known)
            known.add(record.urn)
            if mended is not record:
                self.update(record, mended)
        self._found = self.base()


def _mended(record: ResourceState, known: set[str]) -> ResourceState:
    properties = {
        name: kept
        for name, urns in record.property_dependencies.items()
        if (kept := [urn for urn in urns if urn in known])
    }
    mended = replace(
        record,
        parent=record.parent if record.parent in known else "",
        dependencies=[urn for urn in record.dependencies if urn in known],
        property_dependencies=properties,
        deleted_with=record.deleted_with if record.deleted_with in known else "",
        replace_with=[urn for urn in record.replace_with if urn in known],
    )
    return record if mended == record else mended


def _renamed(records: list[ResourceState], renamed: Mapping[str, str]) -> list[ResourceState]:
    """Return the records with every URN that an alias has replaced written anew.

    What has not been registered yet still speaks of the old names; and a child's URN holds its parent's type.
    """
    known = dict(renamed)
    for record in records:
        parent = known.get(record.parent)
        if parent and urn_type(parent) != STACK_TYPE:
            prefix = parent.rpartition("::")[0]
            known[record.urn] = f"{prefix}${urn_type(record.urn)}::{urn_name(record.urn)}"
    return [_with_names(record, known) for record in records]


def _with_names(record: ResourceState, known: Mapping[str, str]) -> ResourceState:
    if record.urn not in known and not record.needs() & known.keys():
        return record

    def name(urn: str) -> str:
        return known.get(urn, urn)

    provider, separator, identifier = record.provider.rpartition("::")
    return replace(
        record,
        urn=name(record.urn),
        parent=name(record.parent),
        provider=f"{name(provider)}{separator}{identifier}",
        dependencies=[name(urn) for urn in record.dependencies],
        property_dependencies={
            key: [name(urn) for urn in urns] for key, urns in record.property_dependencies.items()
        },
        deleted_with=name(record.deleted_with),
        replace_with=[name(urn) for urn in record.replace_with],
    )
