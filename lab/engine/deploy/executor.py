"""Doing: one step at a time on one resource, with its hooks, retries and its record in the state."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from lab.engine.deploy.course import Course
from lab.engine.deploy.events import Events
from lab.engine.deploy.hooks import HookError, Hooks
from lab.engine.deploy.journal import Journal
from lab.engine.deploy.providers import FindProvider, Providers
from lab.engine.deploy.request import UpdateRequest
from lab.engine.deploy.secrecy import mark_outputs
from lab.engine.deploy.steps import DELETES, Op, Step
from lab.engine.deploy.views import as_resource, planned_by, seen_by
from lab.engine.provider import PartialFailureError, ProviderError
from lab.engine.state.checkpoint import now
from lab.engine.state.model import PROVIDER_PREFIX, ResourceState
from lab.engine.values import same

__all__ = ["Executor", "StepError"]

_MOST_TRIES: Final = 100  # pulumi/pulumi, pkg/resource/deploy/retries.go
T = TypeVar("T")


class StepError(Exception):
    """A step has failed; what there is to say has been said. `protected` says that nothing was attempted."""

    def __init__(self, *, protected: bool = False) -> None:
        super().__init__()
        self.protected = protected


class _ProtectedError(ProviderError):
    """A protected resource is not deleted."""


class Executor:
    """Takes steps. At most `parallel` provider calls run at a time."""

    def __init__(
        self,
        *,
        journal: Journal,
        events: Events,
        course: Course,
        hooks: Hooks,
        find: FindProvider,
        goes: Callable[[str], bool],
        request: UpdateRequest,
    ) -> None:
        """Take the parts of an operation; `goes` tells which resources have been decided to be deleted."""
        self._journal = journal
        self._events = events
        self._course = course
        self._hooks = hooks
        self._find = find
        self._goes = goes
        self._ignores_protection = request.options.ignore_protect
        self._preview = request.preview
        self._slots = asyncio.Semaphore(max(1, request.options.parallel))
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def take(self, step: Step) -> ResourceState | None:
        """Take one step; returns the resource's record afterwards, None when gone. Raises `StepError`."""
        async with self._slots:
            self._running += 1
            self._idle.clear()
            try:
                return await self._take(step)
            finally:
                self._running -= 1
                if not self._running:
                    self._idle.set()

    async def idle(self) -> None:
        """Wait until no step is being taken."""
        await self._idle.wait()

    async def _take(self, step: Step) -> ResourceState | None:
        self._events.begin(step)
        try:
            after = await self._apply(step)
        except (ProviderError, HookError) as error:
            prefix = "Preview failed: " if self._preview else ""
            self._events.diagnostic("error", f"{prefix}{error}", step.urn)
            if not self._preview:
                self._events.failed(step)
            raise StepError(protected=isinstance(error, _ProtectedError)) from error
        self._events.count(step, after)
        if step.resource.custom or self._preview or step.op == Op.DELETE:
            self._events.done(step, after)
        return after

    async def _apply(self, step: Step) -> ResourceState | None:
        doing = {
            Op.SAME: self._same,
            Op.READ: self._read,
            Op.CREATE: self._create,
            Op.CREATE_REPLACEMENT: self._create,
            Op.UPDATE: self._update,
        }
        match step.op:
            case op if op in doing:
                return await doing[op](step)
            case op if op in DELETES:
                await self._delete(step)
                return None
            case Op.REMOVE_PENDING:
                assert step.old is not None
                self._journal.remove(step.old)
                await self._journal.save()
                return None
            case _:  # replace: the record of what the other steps do
                return step.new

    async def _same(self, step: Step) -> ResourceState:
        assert step.new is not None
        if step.old is None:  # not targeted: known to the program, not made
            return step.new
        outputs = mark_outputs(step.old.outputs, step.new.inputs, step.new.additional_secret_outputs)
        unchanged = same(step.new.inputs, step.old.inputs)
        after = replace(
            step.new, id=step.old.id, outputs=outputs, created=step.old.created, modified=step.old.modified,
            inputs=step.old.inputs if unchanged else step.new.inputs,
        )  # fmt: skip
        if unchanged and after == step.old:
            after = step.old  # the very record, whose JSON is kept
        self._journal.add(after, step.old)
        if after is not step.old:
            await self._journal.save()
        return after

    async def _read(self, step: Step) -> ResourceState:
        new = step.new
        assert new is not None
        provider = await self._find(new)
        assert provider is not None
        pending = await self._begin(new, "reading")
        try:
            # a provider gets what is asked for as the state, too (step.go, ReadStep)
            found = await provider.read(as_resource(replace(new, outputs=new.inputs), provider))
        finally:
            self._journal.end(pending)
            await self._journal.save()
        if found is None:
            raise ProviderError(f"resource '{new.id}' does not exist")
        outputs = mark_outputs(found.outputs, new.inputs, new.additional_secret_outputs)
        after = replace(new, id=found.id or new.id, outputs=outputs)
        if step.old is not None and not _same_values(after, step.old):
            after = replace(after, modified=now())
        self._journal.add(after, step.old)
        await self._journal.save()
        return after

    async def _create(self, step: Step) -> ResourceState:
        new = step.new
        assert new is not None
        await self._run_hooks("before_create", new, new=new)
        pending = await self._begin(new, "creating")
        try:
            identifier, outputs = await self._with_retries(
                "create", new, None, lambda: self._call_create(new)
            )
        except PartialFailureError as error:
            self._journal.end(pending)
            made = self._made(new, error.id, dict(error.outputs), [str(error)])
            await self._place(step, made)
            raise
        except (ProviderError, HookError):
            self._journal.end(pending)
            await self._journal.save()
            raise
        self._journal.end(pending)
        after = self._made(new, identifier, outputs, [])
        await self._place(step, after)
        if new.custom:
            await self.run_after_hooks("after_create", after)
        return after

    def _made(
        self, new: ResourceState, identifier: Any, outputs: dict[str, Any], errors: list[str]
    ) -> ResourceState:
        time = now()
        marked = mark_outputs(outputs, new.inputs, new.additional_secret_outputs) if new.custom else outputs
        return replace(new, id=identifier, outputs=marked, init_errors=errors, created=time, modified=time)

    async def _place(self, step: Step, after: ResourceState) -> None:
        """Record a created resource, and what becomes of the one it replaces."""
        old = self._journal.by_urn().get(step.old.urn) if step.old is not None else None
        if old is None:
            self._journal.add(after)
        elif old.pending_replacement:
            self._journal.add(after, old)
        else:
            self._journal.condemn(old)
            self._journal.add(after)
        await self._journal.save()

    async def _call_create(self, new: ResourceState) -> tuple[str, dict[str, Any]]:
        if new.type.startswith(PROVIDER_PREFIX):
            return _provider_id(new), Providers.outputs(new.inputs)
        provider = await self._find(new)
        if provider is None:
            return "", {}
        inputs = (planned_by if self._preview else seen_by)(provider, new.inputs)
        call = provider.create(new.urn, new.type, inputs, preview=self._preview)
        identifier, outputs = await _within(call, new, "create")
        return identifier, dict(outputs)

    async def _update(self, step: Step) -> ResourceState:
        old, asked = step.old, step.new
        assert old is not None
        assert asked is not None
        new = replace(asked, id=old.id)
        await self._run_hooks("before_update", new, new=new, old=old)
        pending = await self._begin(asked, "updating")
        errors: list[str] = []
        failure: PartialFailureError | None = None
        try:
            outputs = await self._with_retries("update", new, old, lambda: self._call_update(old, new))
        except PartialFailureError as error:
            # what is there was not made from the new inputs
            failure, errors, outputs = error, [str(error)], dict(error.outputs)
            new = replace(new, inputs=old.inputs)
        except (ProviderError, HookError):
            self._journal.end(pending)
            await self._journal.save()
            raise
        self._journal.end(pending)
        if new.custom:
            outputs = mark_outputs(outputs, new.inputs, new.additional_secret_outputs)
        after = replace(new, outputs=outputs, init_errors=errors, created=old.created, modified=now())
        self._journal.add(after, old)
        await self._journal.save()
        if failure is not None:
            raise failure
        if new.custom:
            await self.run_after_hooks("after_update", after, old)
        return after

    async def _call_update(self, old: ResourceState, new: ResourceState) -> dict[str, Any]:
        if new.type.startswith(PROVIDER_PREFIX):
            return Providers.outputs(new.inputs)
        provider = await self._find(new)
        if provider is None:
            return dict(old.outputs)
        news = (planned_by if self._preview else seen_by)(provider, new.inputs)
        call = provider.update(as_resource(old, provider), news, preview=self._preview)
        return dict(await _within(call, new, "update"))

    async def _delete(self, step: Step) -> None:
        assert step.old is not None
        old = step.old if step.old.delete else self._journal.by_urn().get(step.old.urn, step.old)
        await self._run_hooks("before_delete", old, old=old)
        if old.protect and step.logical and not self._ignores_protection:
            raise _ProtectedError(
                f'resource "{old.urn}" cannot be deleted\nbecause it is protected. To unprotect the '
                "resource, either remove the `protect` flag from the resource in your Pulumi program and run "
                f"`pulumi up`, or use the command:\n`pulumi state unprotect '{old.urn}'`"
            )
        pending = await self._begin(old, "deleting")
        gone_with = self._goes(old.deleted_with)
        try:
            if not (gone_with or old.retain_on_delete or not old.custom):
                await self._with_retries("delete", None, old, lambda: self._call_delete(old))
        except (ProviderError, HookError):
            self._journal.end(pending)
            await self._journal.save()
            raise
        self._journal.end(pending)
        if step.keep_record:
            kept = replace(old, pending_replacement=True)
            self._journal.update(old, kept)
        else:
            self._journal.remove(old)
        await self._journal.save()
        await self.run_after_hooks("after_delete", None, old)

    async def _call_delete(self, old: ResourceState) -> None:
        if self._preview or old.is_provider or old.external:
            return
        provider = await self._find(old)
        if provider is not None:
            await _within(provider.delete(as_resource(old, provider)), old, "delete")

    async def _begin(self, state: ResourceState, kind: str) -> Any:
        if self._preview or not state.custom or state.is_provider:
            return None
        return await self._journal.begin(state, kind)

    async def _run_hooks(
        self,
        kind: str,
        state: ResourceState,
        *,
        new: ResourceState | None = None,
        old: ResourceState | None = None,
    ) -> None:
        for warning in await self._hooks.run(kind, state, new=new, old=old):
            self._events.diagnostic("warning", warning, state.urn)

    async def run_after_hooks(
        self, kind: str, new: ResourceState | None, old: ResourceState | None = None
    ) -> None:
        """Run the hooks for what has been done; one that fails undoes nothing, yet the operation fails."""
        state = new or old
        assert state is not None
        try:
            await self._run_hooks(kind, state, new=new, old=old)
        except HookError as error:
            self._events.diagnostic("error", str(error), state.urn)
            self._course.hook_failed = True

    async def _with_retries(
        self,
        operation: str,
        new: ResourceState | None,
        old: ResourceState | None,
        call: Callable[[], Awaitable[T]],
    ) -> T:
        """Call a provider, again as long as an error hook says so.

        A hook that cannot be run is the error itself, but for a delete and for what was made in part: there
        the provider's error counts (pulumi/pulumi, pkg/resource/deploy/step.go).
        """
        errors: list[str] = []
        while True:
            try:
                return await call()
            except ProviderError as error:
                errors.insert(0, str(error))
                state = new or old or _NOBODY
                if not state.resource_hooks.get("OnError"):
                    raise
                if len(errors) >= _MOST_TRIES:
                    message = f"maximum number of error hook retries ({_MOST_TRIES}) reached"
                    self._events.diagnostic("warning", message, state.urn)
                    raise
                try:
                    again = await self._hooks.retry(operation, errors, new=new, old=old)
                except HookError as broken:
                    if operation == "delete" or isinstance(error, PartialFailureError):
                        raise error from broken
                    raise HookError(f"error hooks execution failed: {broken}") from error
                if not again:
                    raise
                message = f"retrying {operation} due to on-error hook request ({len(errors)}/{_MOST_TRIES})"
                self._events.diagnostic("warning", message, state.urn)


_NOBODY: Final = ResourceState(urn="", type="", custom=False)


async def _within(call: Awaitable[T], state: ResourceState, operation: str) -> T:
    """Await a provider's answer, no longer than the resource's custom timeout. Raises `ProviderError`."""
    seconds = (state.custom_timeouts or {}).get(operation)
    try:
        async with asyncio.timeout(seconds or None):
            return await call
    except TimeoutError:
        if not seconds:
            raise
        raise ProviderError(f"{operation} took longer than its custom timeout of {seconds:g}s") from None


def _same_values(one: ResourceState, other: ResourceState) -> bool:
    return same(one.inputs, other.inputs) and same(one.outputs, other.outputs)


def _provider_id(new: ResourceState) -> str:
    """A provider resource has its id already: others name it before it is made."""
    return str(new.id)
