"""Bringing the state up to date with what really is."""

from dataclasses import replace

from lab.engine.deploy.course import Course
from lab.engine.deploy.diffs import inverted
from lab.engine.deploy.events import Events
from lab.engine.deploy.journal import Journal
from lab.engine.deploy.providers import FindProvider
from lab.engine.deploy.secrecy import mark_outputs
from lab.engine.deploy.steps import Op, Step
from lab.engine.deploy.views import as_resource, seen_by
from lab.engine.provider import DiffResult, Provider, ProviderError
from lab.engine.state.checkpoint import now
from lab.engine.state.model import ResourceState
from lab.engine.values import same

__all__ = ["Refresher"]

_NO_CHANGE = DiffResult(changes=False)


class Refresher:
    """Reads resources again; `counted` where reading is what the operation is for."""

    def __init__(
        self,
        *,
        journal: Journal,
        events: Events,
        course: Course,
        find: FindProvider,
        preview: bool,
        counted: bool,
    ) -> None:
        self._journal = journal
        self._events = events
        self._course = course
        self._find = find
        self._preview = preview
        self._counted = counted

    async def take(self, record: ResourceState, *, internal: bool = False) -> ResourceState | None:
        """Read one resource; returns its record afterwards, None when it is gone. The caller saves.

        A read that fails fails the operation at its end; the record then stays as it was.
        """
        step = Step(op=Op.REFRESH, old=record, new=record, logical=False)
        self._events.begin(step)
        try:
            found, diff = await self._read(record)
        except ProviderError as error:
            prefix = "Preview failed: " if self._preview else ""
            self._events.diagnostic("error", f"{prefix}{error}", record.urn)
            if not self._preview:
                self._events.failed(step)
            self._course.step_failed = True
            return record
        if found is None:
            self._journal.remove(record)
        elif found is not record:
            self._journal.update(record, found)
        result = Op.DELETE if found is None else Op.UPDATE if diff.changes else Op.SAME
        done = replace(step, new=found, diffs=tuple(diff.diffs), detailed=diff.detailed)
        self._events.refreshed(done, result, internal=internal, counted=self._counted)
        return found

    async def _read(self, record: ResourceState) -> tuple[ResourceState | None, DiffResult]:
        """Return the record as it should be, and how it differs, seen from the one there is."""
        if record.pending_replacement:
            return record, _NO_CHANGE
        provider = await self._find(record)
        if provider is None:
            return record, _NO_CHANGE
        read = await provider.read(as_resource(record, provider))
        if read is None:
            return None, _NO_CHANGE
        inputs = mark_outputs(dict(read.inputs), record.inputs, ())
        outputs = mark_outputs(
            dict(read.outputs), {**record.outputs, **inputs}, record.additional_secret_outputs
        )
        found = replace(record, id=read.id, inputs=inputs, outputs=outputs, init_errors=[])
        if found == record:
            return record, _NO_CHANGE
        changed = not (same(outputs, record.outputs) and same(inputs, record.inputs))
        if changed:
            found = replace(found, modified=now())
        if record.external:
            return found, DiffResult(changes=not same(outputs, record.outputs))
        return found, await _difference(provider, found, record)


async def _difference(provider: Provider, found: ResourceState, record: ResourceState) -> DiffResult:
    """Compare as an update would that has nothing else to do, seen from the other side."""
    wanted = seen_by(provider, record.inputs)
    return inverted(await provider.diff(as_resource(found, provider), wanted, record.ignore_changes))
