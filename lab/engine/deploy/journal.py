"""The state while an operation runs: what is done, what is left of before, what is under way."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

from lab.engine.state.model import (
    STACK_TYPE,
    Change,
    ChangeKind,
    PendingOperation,
    ResourceState,
    Snapshot,
    urn_name,
    urn_type,
)

__all__ = ["Journal", "Keeps"]

T = TypeVar("T")


class Keeps(Protocol):
    """Where a state is kept while it changes. Each call returns once that is on the disk."""

    def append(self, changes: Sequence[Change]) -> None:
        """Keep what has changed since the call before, or since the operation began."""

    def whole(self, snapshot: Snapshot) -> None:
        """Keep all of it; nothing is appended any more."""


class _Numbered(Generic[T]):
    """Items in order, each with a number, and each found by its identity at once."""

    def __init__(self) -> None:
        self._items: dict[int, T] = {}
        self._number_of: dict[int, int] = {}

    def __iter__(self) -> Iterator[T]:
        return iter(self._items.values())

    def append(self, item: T, number: int) -> None:
        self._items[number] = item
        self._number_of[id(item)] = number

    def replace(self, old: T, new: T) -> int | None:
        number = self._number_of.pop(id(old), None)
        if number is not None:
            self._items[number] = new
            self._number_of[id(new)] = number
        return number

    def remove(self, item: T) -> int | None:
        number = self._number_of.pop(id(item), None)
        if number is not None:
            del self._items[number]
        return number


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
    """Keeps the snapshot current, and keeps on the disk what changed before a provider is called and after.

    It alone knows what has become of the state before; whoever decides or does asks it.
    """

    def __init__(self, base: Snapshot, keeps: Keeps | None) -> None:
        """Begin with the state as it is kept; without `keeps`, in a preview, nothing is written."""
        self._base: _Numbered[ResourceState] = _Numbered()
        self._news: _Numbered[ResourceState] = _Numbered()
        self._by_urn = _ByURN(base.resources)
        self._found = list(base.resources)
        self._metadata = base.metadata
        self._left: _Numbered[PendingOperation] = _Numbered()
        self._pending: _Numbered[PendingOperation] = _Numbered()
        self._numbers, self._operations = count(), count()
        self._renamed: dict[str, str] = {}
        self._keeps = keeps
        self._changes: list[Change] = []
        self._kept_whole = False  # then numbers in the file are not those here
        self._wanted = self._written = 0
        self._writing: asyncio.Task[None] | None = None
        for record in base.resources:
            self._base.append(record, next(self._numbers))
        for item in base.pending_operations:
            self._take_over(item, next(self._operations))

    def _take_over(self, item: PendingOperation, number: int) -> None:
        """Keep what an earlier run was creating; only a refresh may clear that.

        Other operations are told once and forgotten (pulumi/pulumi, pkg/backend/snapshot.go, snap).
        """
        if item.type == "creating":
            self._left.append(item, number)
        else:
            self._note("end", number)

    def _note(
        self, kind: ChangeKind, number: int, record: ResourceState | None = None, operation: str = ""
    ) -> None:
        if self._keeps is not None:
            self._changes.append(Change(kind=kind, number=number, record=record, operation=operation))

    def snapshot(self) -> Snapshot:
        """Return the state as it is now."""
        resources = [*self._news, *self._base]
        if self._renamed:
            resources = _renamed(resources, self._renamed)
        return Snapshot(
            resources=resources,
            pending_operations=[*self._left, *self._pending],
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
        """Return once the state is kept as it is now; a preview keeps nothing.

        Steps that wait for this at the same time share one write.
        """
        if self._keeps is None:
            return
        self._wanted += 1
        mine = self._wanted
        while self._written < mine:
            if self._writing is None:
                self._writing = asyncio.create_task(self._write(self._keeps))
            await asyncio.shield(self._writing)

    async def _write(self, keeps: Keeps) -> None:
        try:
            await asyncio.sleep(0)  # those that are ready to join do so
            upto = self._wanted
            self._keep(keeps)
            self._written = upto
        finally:
            self._writing = None

    def _keep(self, keeps: Keeps) -> None:
        """Append what has changed; where a resource has another name now, all may have changed."""
        if self._renamed or self._kept_whole:
            keeps.whole(self.snapshot())
            self._kept_whole = True
        elif self._changes:
            keeps.append(self._changes)
        self._changes = []

    def finish(self) -> None:
        """Keep the state whole at the operation's end; one that had nothing to keep leaves it alone.

        A step that was cut off may still come to its end, and save: that is kept whole, too.
        """
        if self._keeps is not None and (self._wanted or self._changes):
            self._kept_whole = True
            self._keep(self._keeps)

    async def begin(self, resource: ResourceState, kind: str) -> PendingOperation:
        """Record that an operation is about to begin."""
        pending = PendingOperation(resource=resource, type=kind)
        number = next(self._operations)
        self._pending.append(pending, number)
        self._note("begin", number, resource, kind)
        await self.save()
        return pending

    def end(self, pending: PendingOperation | None) -> None:
        """Forget an operation that has ended, well or not; the caller saves."""
        if pending is not None:
            self._end(self._pending, pending)

    def _end(self, place: _Numbered[PendingOperation], item: PendingOperation) -> None:
        number = place.remove(item)
        if number is not None:
            self._note("end", number)

    def add(self, new: ResourceState, old: ResourceState | None = None) -> None:
        """A resource is as `new` says; what it was before is no longer."""
        number = None
        if old is not None:
            self._by_urn.replace(old, new)
            number = self._take_out(old)
            if old.urn != new.urn:
                self._renamed[old.urn] = new.urn
        if number is not None and new is old:
            self._note("same", number)
        else:
            number = next(self._numbers) if number is None else number
            self._note("add", number, new)
        self._news.append(new, number)

    def update(self, old: ResourceState, new: ResourceState) -> None:
        """Put another record of the same resource in the place of one that is there."""
        self._by_urn.replace(old, new)
        number = self._news.replace(old, new)
        if number is None:
            number = self._base.replace(old, new)
        if number is not None:
            self._note("put", number, new)

    def condemn(self, old: ResourceState) -> ResourceState:
        """Mark a resource as replaced and still to be deleted."""
        condemned = replace(old, delete=True)
        self.update(old, condemned)
        return condemned

    def remove(self, old: ResourceState) -> None:
        """A resource is gone."""
        self._by_urn.remove(old)
        number = self._take_out(old)
        if number is not None:
            self._note("drop", number)

    def _take_out(self, old: ResourceState) -> int | None:
        number = self._base.remove(old)
        return self._news.remove(old) if number is None else number

    def interrupted_creates(self) -> list[PendingOperation]:
        """Return the creations that an earlier run began and of which no end is known."""
        return list(self._left)

    def settle(self, left: PendingOperation) -> None:
        """Forget one operation of an earlier run: what it left behind is known; the caller saves."""
        self._end(self._left, left)

    def forget_left(self) -> None:
        """Forget what an earlier run was creating; the caller saves."""
        for left in self.interrupted_creates():
            self.settle(left)

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
