"""One operation as a whole: registrations from the program, steps, and deletes at its end."""

import asyncio
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from lab.engine.deploy.events import Events
from lab.engine.deploy.executor import Executor, StepError
from lab.engine.deploy.generator import BailError, Generator, make_urn
from lab.engine.deploy.goal import Goal
from lab.engine.deploy.hooks import Hooks
from lab.engine.deploy.journal import Journal
from lab.engine.deploy.providers import Providers, default_name, package_of, reference
from lab.engine.deploy.request import DeployError, UpdateRequest
from lab.engine.deploy.steps import Op, Step
from lab.engine.provider import Provider, ProviderError
from lab.engine.state.model import PROVIDER_PREFIX, STACK_TYPE, ResourceState
from lab.engine.values import plain

__all__ = ["Deployment", "Registered"]


@dataclass(frozen=True)
class Registered:
    """The answer to a registration: the record, or that it failed or was skipped."""

    state: ResourceState
    failed: bool = False
    skipped: bool = False
    unknown: bool = False


class Deployment:
    """Everything one operation knows. All methods run on one event loop."""

    def __init__(self, request: UpdateRequest) -> None:
        self._request = request
        self._continue = request.options.continue_on_error
        self.events = Events(request.emit, planning=request.preview)
        self.journal = Journal(request.snapshot, None if request.preview else request.save)
        self.hooks = Hooks(preview=request.preview)
        self.providers = Providers(request.config)
        self._provider_states: dict[str, ResourceState] = {
            reference(state): state for state in request.snapshot.resources if state.is_provider
        }
        self.generator = Generator(
            olds=request.snapshot.resources,
            options=request.options,
            events=self.events,
            provider=self.find_provider,
            preview=request.preview,
        )
        self.executor = Executor(
            journal=self.journal, events=self.events, hooks=self.hooks, providers=self.providers,
            find=self.find_provider, preview=request.preview, parallel=request.options.parallel,
        )  # fmt: skip
        self._deciding = asyncio.Lock()
        self._defaults: dict[tuple[str, str], asyncio.Task[str]] = {}
        self._states: dict[str, ResourceState] = {}
        self._op: dict[str, Step] = {}
        self._broken: set[str] = set()
        self._waiting: dict[int, Step] = {}
        self._deleting: dict[int, Step] = {}
        self._kept_by_failures: set[str] = set()
        self.program_done = asyncio.Event()
        """Set when the program has registered all it wants."""
        self.stack_urn = ""
        self._stack_outputs: dict[str, Any] | None = None
        self.failed = asyncio.Event()
        """Set when no new step may begin: a step failed, or the user interrupts."""
        self.step_failed = False
        self.bailed = False

    @property
    def preview(self) -> bool:
        """Whether nothing is really done."""
        return self._request.preview

    def stop(self) -> None:
        """Begin no new step."""
        self.failed.set()

    # -------------------------------------------------------------- providers

    async def find_provider(self, state: ResourceState) -> Provider | None:
        """Return the configured code behind a resource; None for components and providers themselves."""
        if not state.custom or state.is_provider:
            return None
        found = self._provider_states.get(state.provider)
        if found is None:
            raise ProviderError(f"unknown provider {state.provider!r} for resource {state.urn}")
        return await self.providers.get(found)

    async def provider_reference(self, goal: Goal) -> str:
        """Return the provider a resource goes to: its own, its parent's, or the package's default one."""
        if goal.provider:
            return goal.provider
        package = package_of(goal.type)
        if package in goal.providers:
            return goal.providers[package]
        return await self.default_provider(package, goal.version)

    async def default_provider(self, package: str, version: str) -> str:
        """Return a package's default provider, making it a resource when it is first needed."""
        key = (package, version)
        if key not in self._defaults:
            self._defaults[key] = asyncio.create_task(self._make_default(package, version))
        return await asyncio.shield(self._defaults[key])

    async def _make_default(self, package: str, version: str) -> str:
        name = default_name(version)
        goal = Goal(
            type=f"{PROVIDER_PREFIX}{package}", name=name, parent="", custom=True,
            properties=self.providers.inputs(package, version),
        )  # fmt: skip
        return reference((await self.register(goal)).state)

    async def invoke(self, token: str, args: dict[str, Any], provider: str, version: str) -> dict[str, Any]:
        """Call a function of a provider."""
        found = provider or await self.default_provider(package_of(token), version)
        code = await self.providers.get(self._provider_states[found])
        return dict(await code.invoke(token, plain(args)))

    # -------------------------------------------------------------- registrations

    def urn(self, goal: Goal) -> str:
        """Return the URN of what a program registers."""
        prefix = f"urn:pulumi:{self._request.stack}::{self._request.project.name}"
        return make_urn(prefix, goal.parent, goal.type, goal.name)

    async def register(self, goal: Goal) -> Registered:
        """Decide and take the steps of one registration. Never returns once no step may begin."""
        urn = self.urn(goal)
        provider = ""
        if goal.custom and not goal.type.startswith(PROVIDER_PREFIX):
            provider = await self.provider_reference(goal)
        if goal.type.startswith(PROVIDER_PREFIX):
            package = goal.type.removeprefix(PROVIDER_PREFIX)
            inputs = self.providers.check(package, goal.properties)
            if goal.version:
                inputs = {**inputs, "version": goal.version}
            goal = replace(goal, properties=inputs)
        await self._wait_if_stopped()
        if self._broken & self._needed(goal, provider):
            self._broken.add(urn)
            self.generator.keep(urn, goal)
            return Registered(ResourceState(urn=urn, type=goal.type, custom=goal.custom), skipped=True)
        async with self._deciding:
            await self._wait_if_stopped()
            steps, untargeted = await self._decide(urn, goal, provider)
        if untargeted:
            await self.executor.take(steps[0], self.generator)
            return Registered(steps[0].resource, unknown=True)
        return await self._take(urn, steps)

    async def _decide(self, urn: str, goal: Goal, provider: str) -> tuple[list[Step], bool]:
        try:
            steps, untargeted = await self.generator.decide(urn, goal, provider)
        except BailError:
            self.bailed = True
            self.stop()
            raise
        except ProviderError as error:
            self.events.diagnostic("error", str(error), urn)
            self.bailed = True
            self.stop()
            raise BailError from error
        if goal.type == STACK_TYPE:
            self.stack_urn = urn
        return [self._with_provider_id(step) for step in steps], untargeted

    def _with_provider_id(self, step: Step) -> Step:
        """Give a new provider its id before it is made, as others name it by that."""
        new = step.new
        if new is None or not new.is_provider:
            return step
        replaced = step.op in {Op.CREATE, Op.CREATE_REPLACEMENT, Op.REPLACE}
        identifier = str(uuid.uuid4()) if replaced or step.old is None else step.old.id
        new = replace(new, id=identifier)
        self._provider_states[reference(new)] = new
        return replace(step, new=new)

    @staticmethod
    def _needed(goal: Goal, provider: str) -> set[str]:
        probe = ResourceState(
            urn="", type=goal.type, custom=goal.custom, parent=goal.parent, provider=provider,
            dependencies=goal.dependencies, property_dependencies=goal.property_dependencies,
            deleted_with=goal.deleted_with,
        )  # fmt: skip
        return probe.needs()

    async def _wait_if_stopped(self) -> None:
        """Once no step may begin, a registration is never answered; the program is ended."""
        if self.failed.is_set():
            await asyncio.Event().wait()

    async def _take(self, urn: str, steps: list[Step]) -> Registered:
        state: ResourceState | None = None
        for planned in steps:
            await self._wait_if_stopped()
            # what is replaced is shown with what it was replaced by, once that is known
            step = replace(planned, new=state) if planned.op == Op.REPLACE and state else planned
            try:
                after = await self.executor.take(step, self.generator)
            except StepError:
                self.step_failed = True
                self._broken.add(urn)
                if not self._continue:
                    self.stop()
                    await self._wait_if_stopped()
                return Registered(step.resource, failed=True)
            if step.urn == urn and after is not None and step.op != Op.REPLACE:
                state = after
                self._op[urn] = step
                if after.is_provider:
                    self._provider_states[reference(after)] = after
        assert state is not None
        self._states[urn] = state
        return Registered(state)

    def register_outputs(self, urn: str, outputs: dict[str, Any]) -> None:
        """Take a component's outputs at once, the stack's for the end. Raises `DeployError`."""
        if urn not in self._states:
            raise DeployError(f"cannot complete a resource {urn!r} whose registration isn't known")
        if urn == self.stack_urn:
            self._stack_outputs = outputs
        else:
            self._set_outputs(urn, outputs)

    def finish_outputs(self, *, failed: bool) -> None:
        """Record the stack's outputs; after a failure those that are missing stay what they were."""
        if self._stack_outputs is not None:
            former = self._states[self.stack_urn].outputs if failed else {}
            self._set_outputs(self.stack_urn, {**former, **self._stack_outputs})
            self._stack_outputs = None

    def _set_outputs(self, urn: str, outputs: dict[str, Any]) -> None:
        state = self._states[urn]
        after = replace(state, outputs=outputs)
        if after != state:
            self.journal.update(state, after)
            self._states[urn] = after
            self.journal.save()
        self.events.done(self._op[urn], after)

    # -------------------------------------------------------------- the end

    async def delete_the_rest(self, records: Iterable[ResourceState]) -> None:
        """Delete what nobody asked for: each resource after all that need it."""
        self._waiting = {id(step.old): step for step in self.generator.deletes(records)}
        if self.generator.saw_error and not self.preview:
            self._waiting.clear()
            raise BailError
        running: set[asyncio.Task[None]] = set()
        while self._waiting or running:
            if not self.failed.is_set():
                for step in self._ready():
                    self._deleting[id(step.old)] = self._waiting.pop(id(step.old))
                    running.add(asyncio.create_task(self._delete(step)))
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    def _ready(self) -> list[Step]:
        """Return the deletes that nothing still to be deleted, or that failed to be, needs."""
        held = set(self._kept_by_failures)
        for step in (*self._waiting.values(), *self._deleting.values()):
            held |= step.resource.needs() - {step.urn}
        return [step for step in self._waiting.values() if step.urn not in held]

    async def _delete(self, step: Step) -> None:
        try:
            await self.executor.take(step, self.generator)
        except StepError:
            self.step_failed = True
            self._kept_by_failures |= step.resource.needs()
            if not self._continue:
                self.stop()
        finally:
            self._deleting.pop(id(step.old), None)
