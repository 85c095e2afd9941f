"""Bringing the state up to date with what really is."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from lab.engine.deploy.deployment import Deployment
from lab.engine.deploy.diffs import inverted
from lab.engine.deploy.secrecy import mark_outputs
from lab.engine.deploy.steps import Op, Step
from lab.engine.deploy.views import as_resource, seen_by
from lab.engine.provider import DiffResult, Provider, ProviderError
from lab.engine.state.checkpoint import now
from lab.engine.state.model import ResourceState
from lab.engine.values import same

__all__ = ["refresh", "refresh_one"]

_NO_CHANGE = DiffResult(changes=False)


async def refresh(deployment: Deployment, records: Iterable[ResourceState], *, parallel: int) -> None:
    """Read every included resource again and record what it is; what is gone leaves the state."""
    slots = asyncio.Semaphore(max(1, parallel))

    async def one(record: ResourceState) -> None:
        async with slots:
            await refresh_one(deployment, record)

    included = [record for record in records if deployment.generator.targets.includes(record)]
    await asyncio.gather(*(one(record) for record in included))
    await deployment.mend()


async def refresh_one(
    deployment: Deployment, record: ResourceState, *, internal: bool = False
) -> ResourceState | None:
    """Read one resource; returns its record afterwards, None when it is gone.

    A read that fails fails the operation at its end; the record then stays as it was.
    """
    step = Step(op=Op.REFRESH, old=record, new=record, logical=False)
    deployment.events.begin(step)
    try:
        found, diff = await _read(deployment, record)
    except ProviderError as error:
        prefix = "Preview failed: " if deployment.preview else ""
        deployment.events.diagnostic("error", f"{prefix}{error}", record.urn)
        if not deployment.preview:
            deployment.events.failed(step)
        deployment.step_failed = True
        return record
    if found is None:
        deployment.journal.remove(record)
        if not record.delete:
            deployment.generator.olds.pop(record.urn, None)
    elif found is not record:
        deployment.journal.update(record, found)
        if not record.delete:
            deployment.generator.olds[record.urn] = found
    result = Op.DELETE if found is None else Op.UPDATE if diff.changes else Op.SAME
    done = replace(step, new=found, diffs=tuple(diff.diffs), detailed=diff.detailed)
    deployment.events.refreshed(done, result, internal=internal, counted=deployment.kind == "refresh")
    return found


async def _read(deployment: Deployment, record: ResourceState) -> tuple[ResourceState | None, DiffResult]:
    """Return the record as it should be, and how it differs, seen from the one there is."""
    if record.pending_replacement:
        return record, _NO_CHANGE
    provider = await deployment.find_provider(record)
    if provider is None:
        return record, _NO_CHANGE
    read = await provider.read(as_resource(record, provider))
    if read is None:
        return None, _NO_CHANGE
    inputs = mark_outputs(dict(read.inputs), record.inputs, ())
    outputs = mark_outputs(dict(read.outputs), {**record.outputs, **inputs}, record.additional_secret_outputs)
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
