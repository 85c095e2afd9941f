"""One operation as a whole: registrations from the program, steps, and deletes at its end."""

import asyncio
import uuid
from dataclasses import dataclass, replace
from typing import Any

from lab.engine.deploy.aliases import make_urn
from lab.engine.deploy.builtin import READ_OUTPUTS, READ_RESOURCES
from lab.engine.deploy.executor import StepError
from lab.engine.deploy.generator import BailError
from lab.engine.deploy.goal import Goal, package_of
from lab.engine.deploy.operation import Operation
from lab.engine.deploy.providers import default_name, reference
from lab.engine.deploy.request import DeployError
from lab.engine.deploy.steps import Op, Step
from lab.engine.provider import ProviderError
from lab.engine.state.model import PROVIDER_PREFIX, STACK_TYPE, ResourceState
from lab.engine.values import plain, same

__all__ = ["Deployment", "Registered"]


@dataclass(frozen=True)
class Registered:
    """The answer to a registration: the record, or that it failed or was skipped."""

    state: ResourceState
    failed: bool = False
    skipped: bool = False
    unknown: bool = False


class Deployment:
    """What a program asks of an operation. All methods run on one event loop."""

    def __init__(self, operation: Operation) -> None:
        self._request = operation.request
        self._course = operation.course
        self._events = operation.events
        self._journal = operation.journal
        self._providers = operation.providers
        self._generator = operation.generator
        self._executor = operation.executor
        self._refresher = operation.refresher
        self._deciding = asyncio.Lock()
        self._defaults: dict[tuple[str, str], asyncio.Task[str]] = {}
        self._goals: dict[str, Goal] = {}
        self._registered: dict[str, tuple[Step, ResourceState]] = {}
        self._broken: set[str] = set()
        self._stack_outputs: dict[str, Any] | None = None
        self.stack_urn = ""
        """The URN of the program's stack, once it is registered."""

    # -------------------------------------------------------------- providers

    async def _provider_reference(self, goal: Goal) -> str:
        """Return the provider a resource goes to: its own, its parent's, or the package's default one."""
        if not goal.custom or goal.type.startswith(PROVIDER_PREFIX):
            return ""
        package = package_of(goal.type)
        given = goal.provider or goal.providers.get(package)
        return given or await self._default_provider(package, goal.version)

    async def _default_provider(self, package: str, version: str) -> str:
        """Return a package's default provider, making it a resource when it is first needed."""
        key = (package, version)
        if key not in self._defaults:
            self._defaults[key] = asyncio.create_task(self._make_default(package, version))
        return await asyncio.shield(self._defaults[key])

    async def _make_default(self, package: str, version: str) -> str:
        name = default_name(version)
        goal = Goal(
            type=f"{PROVIDER_PREFIX}{package}", name=name, parent="", custom=True,
            properties=self._providers.inputs(package, version),
        )  # fmt: skip
        return reference((await self.register(goal)).state)

    async def invoke(
        self, token: str, args: dict[str, Any], provider: str, version: str, parent: str
    ) -> dict[str, Any]:
        """Call a function of a provider: the one named, the parent's, or the package's default one."""
        package = package_of(token)
        inherited = self._goals[parent].providers.get(package) if parent in self._goals else None
        found = provider or inherited or await self._default_provider(package, version)
        code = await self._providers.named(found)
        if token == READ_RESOURCES:
            return self._resource_outputs(args)
        if token == READ_OUTPUTS:
            return self._outputs_before(args)
        return dict(await code.invoke(token, plain(args)))

    def _resource_outputs(self, args: dict[str, Any]) -> dict[str, Any]:
        """Return what the state says of every resource of this very stack, as Pulumi's builtins do.

        What is written counts: a preview does not see what its own refresh found.
        """
        name = self._own_name(args, "stackName")
        written = self._request.snapshot if self._request.preview else self._journal.snapshot()
        return {
            "name": name,
            "outputs": {
                state.urn: {"type": state.type, "outputs": state.outputs}
                for state in written.resources
                if not state.delete
            },
        }

    def _outputs_before(self, args: dict[str, Any]) -> dict[str, Any]:
        """Return what the stack's outputs were before this run; nothing where there were none."""
        name = self._own_name(args, "name")
        found = [state.outputs for state in self._request.snapshot.resources if state.type == STACK_TYPE]
        return {"name": name, "outputs": found[0] if found else {}}

    def _own_name(self, args: dict[str, Any], key: str) -> str:
        name = str(plain(args).get(key))
        own = (self._request.stack, f"organization/{self._request.project.name}/{self._request.stack}")
        if name not in own:
            raise ProviderError(f"this engine reads the resources of its own stack only, not of {name!r}")
        return name

    # -------------------------------------------------------------- registrations

    def urn(self, goal: Goal) -> str:
        """Return the URN of what a program registers."""
        prefix = f"urn:pulumi:{self._request.stack}::{self._request.project.name}"
        return make_urn(prefix, goal.parent, goal.type, goal.name)

    def inherited(self, goal: Goal) -> Goal:
        """Return what is asked with what its parent's options add to it."""
        return goal.under(self._goals.get(goal.parent))

    async def register(self, goal: Goal) -> Registered:
        """Decide and take the steps of one registration. Never returns once no step may begin."""
        urn = self.urn(goal)
        self._goals.setdefault(urn, goal)
        provider = await self._provider_reference(goal)
        if goal.type.startswith(PROVIDER_PREFIX):
            package = goal.type.removeprefix(PROVIDER_PREFIX)
            inputs = self._providers.check(package, goal.properties)
            if goal.version:
                inputs = {**inputs, "version": goal.version}
            goal = replace(goal, properties=inputs)
        await self._course.hold_if_stopped()
        try:
            async with self._deciding:
                await self._course.hold_if_stopped()
                old, new = self._generator.claim(urn, goal, provider)
            if old is not None and self._request.refreshes_as_registered:
                old = await self._refreshed(old, new)
            async with self._deciding:
                await self._course.hold_if_stopped()
                steps = [self._with_provider_id(one) for one in await self._generator.decide(goal, old, new)]
        except (BailError, ProviderError) as error:
            self._bail(error, urn)
            raise BailError from error
        if goal.type == STACK_TYPE:
            self.stack_urn = urn
        if not steps:
            assert old is not None
            return Registered(old)
        return await self._take(urn, steps)

    def _bail(self, error: Exception, urn: str) -> None:
        if isinstance(error, ProviderError):
            self._events.diagnostic("error", str(error), urn)
        self._course.refuse()

    async def read(self, goal: Goal, identifier: str) -> Registered:
        """Read a resource that is not ours to change; a preview reads, too. Never returns once stopped."""
        urn = self.urn(goal)
        provider = await self._provider_reference(goal)
        async with self._deciding:
            await self._course.hold_if_stopped()
            try:
                step = self._generator.read(urn, goal, provider, identifier)
            except BailError as error:
                self._bail(error, urn)
                raise
        return await self._take(urn, [step])

    async def _refreshed(self, old: ResourceState, new: ResourceState) -> ResourceState | None:
        if not self._generator.targets.includes(old):
            return old
        self._generator.sets.refreshed.add(new.urn)
        found = await self._refresher.take(old, internal=not old.custom or old.is_provider)
        await self._journal.save()
        return found

    def _with_provider_id(self, step: Step) -> Step:
        """Give a new provider its id before it is made, as others name it by that."""
        new = step.new
        if new is None or not new.is_provider:
            return step
        replaced = step.op in {Op.CREATE, Op.CREATE_REPLACEMENT, Op.REPLACE}
        identifier = str(uuid.uuid4()) if replaced or step.old is None else step.old.id
        new = replace(new, id=identifier)
        self._providers.remember(new)
        return replace(step, new=new)

    async def _take(self, urn: str, steps: list[Step]) -> Registered:
        state: ResourceState | None = None
        for planned in steps:
            await self._course.hold_if_stopped()
            if self._broken & (planned.resource.needs() - {planned.resource.provider_urn}):
                self._broken.add(planned.urn)
                continue
            # what is replaced is shown with what it was replaced by, once that is known
            step = replace(planned, new=state) if planned.op == Op.REPLACE and state else planned
            try:
                after = await self._executor.take(step)
            except StepError:
                self._broken.add(step.urn)
                self._course.fail_step()
                await self._course.hold_if_stopped()
                return Registered(steps[-1].resource, failed=True)
            self._course.heed_hooks()
            if after is not None and step.op != Op.REPLACE:
                state = after
                self._registered[after.urn] = (step, after)
                if after.is_provider:
                    self._providers.remember(after)
        if state is None or urn in self._broken:
            return Registered(steps[-1].resource, skipped=True)
        return Registered(state, unknown=steps[-1].skipped_create)

    # -------------------------------------------------------------- outputs

    async def register_outputs(self, urn: str, outputs: dict[str, Any]) -> None:
        """Take a component's outputs at once, the stack's for the end. Raises `DeployError`.

        Once no step may begin, the stack's outputs stay what they were.
        """
        if urn not in self._registered:
            raise DeployError(f"cannot complete a resource '{urn}' whose registration isn't pending")
        if urn == self.stack_urn:
            await self._course.hold_if_stopped()
            self._stack_outputs = outputs
        else:
            await self._set_outputs(urn, outputs)

    async def finish_outputs(self, *, failed: bool) -> None:
        """Record the stack's outputs; after a failure those that are missing stay what they were."""
        if self._stack_outputs is not None:
            former = self._registered[self.stack_urn][1].outputs if failed else {}
            outputs = {**former, **self._stack_outputs}
            self._stack_outputs = None
            await self._set_outputs(self.stack_urn, outputs)

    async def _set_outputs(self, urn: str, outputs: dict[str, Any]) -> None:
        step, state = self._registered[urn]
        if step.skipped_create:
            return
        after = state if same(outputs, state.outputs) else replace(state, outputs=outputs)
        if after is not state:
            self._journal.update(state, after)
            self._registered[urn] = (step, after)
            await self._journal.save()
        if not state.custom and step.op in {Op.CREATE, Op.UPDATE, Op.CREATE_REPLACEMENT}:
            kind = "after_update" if step.op == Op.UPDATE else "after_create"
            await self._executor.run_after_hooks(kind, after, step.old if step.op == Op.UPDATE else None)
        self._events.done(step, after)
        self._course.heed_hooks()
