"""Bringing the state up to date with what really is."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from lab.engine.deploy.deployment import Deployment
from lab.engine.deploy.generator import as_resource
from lab.engine.deploy.secrecy import mark_outputs
from lab.engine.deploy.steps import Op, Step
from lab.engine.deploy.targets import Targets
from lab.engine.provider import ProviderError
from lab.engine.state.checkpoint import now
from lab.engine.state.model import ResourceState
from lab.engine.values import same

__all__ = ["refresh"]


async def refresh(deployment: Deployment, records: Iterable[ResourceState], targets: Targets) -> None:
    """Read every resource from its provider and record what it says; what is gone leaves the state."""
    pending = [
        _refresh_one(deployment, record)
        for record in records
        if not record.is_provider and targets.includes(record)
    ]
    slots = asyncio.Semaphore(8)

    async def bounded(work: "asyncio.Future[None] | object") -> None:
        async with slots:
            await work  # type: ignore[misc]

    await asyncio.gather(*(bounded(work) for work in pending))
    deployment.journal.drop_dangling()
    deployment.journal.save()


async def _refresh_one(deployment: Deployment, record: ResourceState) -> None:
    step = Step(op=Op.REFRESH, old=record, new=record)
    deployment.events.begin(step)
    try:
        provider = await deployment.find_provider(record)
        if provider is None:
            found: ResourceState | None = record
        else:
            read = await provider.read(as_resource(record, secrets=provider.accepts_secrets))
            found = None
            if read is not None:
                outputs = mark_outputs(dict(read.outputs), record.outputs, record.additional_secret_outputs)
                inputs = mark_outputs(dict(read.inputs), record.inputs, ())
                found = replace(record, id=read.id, inputs=inputs, outputs=outputs)
                if not same(outputs, record.outputs) or not same(inputs, record.inputs):
                    found = replace(found, modified=now())
    except ProviderError as error:
        deployment.events.diagnostic("error", str(error), record.urn)
        deployment.events.failed(step)
        deployment.step_failed = True
        return
    if found is None:
        deployment.events.count_refresh(Op.DELETE)
        deployment.journal.remove(record)
        deployment.generator.olds.pop(record.urn, None)
        deployment.events.done(Step(op=Op.REFRESH, old=record))
        return
    changed = found != record and not (
        same(found.outputs, record.outputs) and same(found.inputs, record.inputs)
    )
    deployment.events.count_refresh(Op.UPDATE if changed else Op.SAME)
    if found != record:
        deployment.journal.update(record, found)
        if not record.delete:
            deployment.generator.olds[record.urn] = found
    deployment.events.done(step, found)
