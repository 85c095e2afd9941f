"""Deciding: from what a program asks for and what the state has, to steps.

The decisions follow pulumi/pulumi, pkg/resource/deploy/step_generator.go. One registration is decided at
a time; steps of different resources then run side by side.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from lab.engine.deploy.aliases import AliasError, Aliases
from lab.engine.deploy.diffs import is_replacement, triggers, with_replace_on_changes
from lab.engine.deploy.events import Events
from lab.engine.deploy.goal import Goal
from lab.engine.deploy.journal import Journal
from lab.engine.deploy.paths import parse_path, reset
from lab.engine.deploy.providers import FindProvider
from lab.engine.deploy.replacing import Dependents
from lab.engine.deploy.request import Mode, Options
from lab.engine.deploy.secrecy import mark_outputs
from lab.engine.deploy.steps import Op, Step
from lab.engine.deploy.targets import Targets
from lab.engine.deploy.views import as_resource, seen_by
from lab.engine.provider import DiffResult, Provider
from lab.engine.state.model import STACK_TYPE, ResourceState
from lab.engine.values import contains_unknown, plain, same

__all__ = ["BailError", "Generator"]


class BailError(Exception):
    """The operation stops; what there is to say has been said."""


@dataclass
class _Sets:
    """Which resources (by URN) have been decided, and how."""

    seen: set[str] = field(default_factory=set)
    created: set[str] = field(default_factory=set)
    updated: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    same: set[str] = field(default_factory=set)
    refreshed: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)

    def decided(self) -> set[str]:
        """Return what a step has been generated for."""
        return self.created | self.updated | self.replaced | self.same | self.deleted

    def has_step(self, urn: str) -> bool:
        """Whether a step has been generated for a resource."""
        return any(urn in one for one in (self.created, self.updated, self.replaced, self.same, self.deleted))

    def operated(self, urn: str) -> bool:
        """Whether a resource is still wanted, so that it must not be deleted at the end."""
        return any(urn in one for one in (self.same, self.updated, self.replaced, self.refreshed, self.read))


class Generator:
    """Decides the steps of one operation."""

    def __init__(
        self,
        *,
        journal: Journal,
        options: Options,
        events: Events,
        provider: FindProvider,
        preview: bool,
        mode: Mode,
    ) -> None:
        self._preview = preview
        self._mode = mode
        self.targets = Targets(options)
        self._ignores_protection = options.ignore_protect
        self._journal = journal
        self._events = events
        self._provider = provider
        self.sets = _Sets()
        self.aliases = Aliases()
        self.made: list[str] = []
        """When destroying with the program: what it has registered, which is to be deleted at the end."""
        self.saw_error = False
        """Whether something was refused although the operation went on (previews)."""
        self._dependents = Dependents(journal, provider)

    # -------------------------------------------------------------- registration

    def claim(self, urn: str, goal: Goal, provider: str) -> tuple[ResourceState | None, ResourceState]:
        """Return a resource's record in the state and the one that is asked for. Raises `BailError`."""
        if goal.parent and goal.parent not in self.sets.seen:
            self.error(f"could not find parent resource {goal.parent}", urn)
            raise BailError
        if urn in self.sets.seen:
            self.error(f"Duplicate resource URN '{urn}'; try giving it a unique name", urn)
            raise BailError
        self.sets.seen.add(urn)
        try:
            old = self.aliases.find(urn, goal, self._journal.by_urn(), self.sets.seen)
        except AliasError as error:
            self.error(str(error), urn)
            raise BailError from error
        return old, goal.state(urn, provider, old)

    async def decide(self, goal: Goal, old: ResourceState | None, new: ResourceState) -> list[Step]:
        """Return the steps of one registration; none when it is done as it is. Raises `BailError`."""
        steps = self._without_doing(old, new)
        if steps is None:
            steps = await self._decide(goal, old, new)
        self._refuse_skipped_dependencies(steps)
        return steps

    def read(self, urn: str, goal: Goal, provider: str, identifier: str) -> Step:
        """Return the step of one read. Raises `BailError`."""
        old, new = self.claim(urn, goal, provider)
        if self._mode == "destroy":
            self.made.append(urn)
        self.sets.read.add(urn)
        return Step(op=Op.READ, old=old, new=replace(new, id=identifier, external=True))

    def _without_doing(self, old: ResourceState | None, new: ResourceState) -> list[Step] | None:
        """Decide where a program runs to refresh or to destroy: it makes and changes no resource."""
        urn = new.urn
        real = new.custom and not new.is_provider
        lacking = bool(new.needs() & self.sets.skipped)
        if self._mode == "refresh" and (real or lacking):
            if old is not None:
                return []
            self.sets.same.add(urn)
            return [self._skipped_create(new)]
        if self._mode == "destroy":
            if lacking or (real and old is None):
                return [self._skipped_create(new if old is None else replace(new, outputs=old.outputs))]
            self.made.append(urn)
            if real:
                assert old is not None
                self.sets.same.add(urn)
                return [Step(op=Op.SAME, old=old, new=replace(new, inputs=old.inputs))]
        return None

    def _skipped_create(self, new: ResourceState) -> Step:
        self.sets.skipped.add(new.urn)
        return Step(op=Op.SAME, new=new, untargeted=True)

    async def _decide(self, goal: Goal, old: ResourceState | None, new: ResourceState) -> list[Step]:
        urn = new.urn
        provider = await self._provider(new) if goal.custom else None
        recreating = urn in self.sets.deleted
        implicit = new.is_provider or new.type == STACK_TYPE
        if not implicit and not self.targets.includes(new):
            return self._untargeted(old, new, provider)
        external = old is not None and old.external
        afresh = old is None or recreating or external or self.targets.replaces(urn, old)
        new = await self._checked(goal, old, new, provider, afresh=afresh)
        if old is None:
            self.sets.created.add(urn)
            return [Step(op=Op.CREATE, new=new)]
        if recreating:
            self.sets.deleted.discard(urn)
            self.sets.replaced.add(urn)
            keys = self._dependents.keys.get(urn, ())
            return [
                Step(op=Op.REPLACE, old=old, new=new),
                Step(op=Op.CREATE_REPLACEMENT, old=old, new=new, keys=keys, logical=False),
            ]
        if external:
            self.sets.created.add(urn)
            self.sets.replaced.add(urn)
            return [
                Step(op=Op.CREATE_REPLACEMENT, old=old, new=new, logical=False),
                Step(op=Op.REPLACE, old=old, new=new),
            ]
        return await self._compare(goal, old, new, provider)

    async def _checked(
        self,
        goal: Goal,
        old: ResourceState | None,
        new: ResourceState,
        provider: Provider | None,
        *,
        afresh: bool,
    ) -> ResourceState:
        """Return what is asked with ignored changes undone and the provider's defaults filled in."""
        inputs = new.inputs if old is None else self._with_ignored(new, old)
        if provider is not None:
            if afresh or old is None:
                inputs = await self._check(new, None, goal.properties, provider)
            else:
                inputs = await self._check(new, old, inputs, provider)
        return replace(new, inputs=inputs)

    async def _check(
        self, new: ResourceState, old: ResourceState | None, inputs: dict[str, Any], provider: Provider
    ) -> dict[str, Any]:
        olds = None if old is None else seen_by(provider, old.inputs)
        result = await provider.check(new.urn, new.type, olds, seen_by(provider, inputs))
        for failure in result.failures:
            where = f"property {failure.property} " if failure.property else ""
            self.error(f"{new.type} resource '{new.name}': {where}has a problem: {failure.reason}", new.urn)
        if result.failures:
            raise BailError
        return mark_outputs(dict(result.inputs), inputs, ())

    def _with_ignored(self, new: ResourceState, old: ResourceState) -> dict[str, Any]:
        """Put old inputs back where changes are ignored."""
        inputs: Any = new.inputs
        missing = []
        for text in new.ignore_changes:
            try:
                path = parse_path(text)
            except ValueError:
                continue
            inputs, done = reset(old.inputs, inputs, path)
            if not done:
                missing.append(text)
        if missing:
            named = ", ".join(missing)
            self._events.diagnostic(
                "info", f'cannot ignore changes in added or removed elements of the path: "{named}"', new.urn
            )
        return dict(inputs)

    # -------------------------------------------------------------- comparing

    async def _compare(
        self, goal: Goal, old: ResourceState, new: ResourceState, provider: Provider | None
    ) -> list[Step]:
        if not self._preview and contains_unknown(new.replacement_trigger):
            self.error(f"replacement trigger contains unknowns for {new.urn}", new.urn)
            raise BailError
        triggered = triggers(plain(old.replacement_trigger), plain(new.replacement_trigger))
        diff = DiffResult(changes=True) if triggered else await self._diff(old, new, provider)
        try:
            diff = with_replace_on_changes(diff, goal.replace_on_changes, failed_before=bool(old.init_errors))
        except ValueError as error:
            self.error(str(error), new.urn)
            raise BailError from error
        replaces = triggered or old.pending_replacement or is_replacement(diff)
        if (diff.changes or old.pending_replacement) and replaces:
            return await self._replace(goal, old, new, provider, diff)
        if diff.changes or old.init_errors:
            self.sets.updated.add(new.urn)
            return [_step(Op.UPDATE, old, new, diff)]
        self.sets.same.add(new.urn)
        return [Step(op=Op.SAME, old=old, new=new)]

    async def _diff(self, old: ResourceState, new: ResourceState, provider: Provider | None) -> DiffResult:
        if self.targets.replaces(new.urn, old):
            return DiffResult(changes=True, replaces=["id"])
        if any(urn in self.sets.replaced for urn in new.replace_with):
            return DiffResult(changes=True, replaces=["replaceWith"])
        if new.deleted_with in self.sets.replaced:
            return DiffResult(changes=True, replaces=["deletedWith"])
        if bool(old.provider) != bool(new.provider):
            # a component that was a resource, or the other way round; else a provider takes over from another
            return DiffResult(changes=True, replaces=["provider"])
        if provider is None:
            return DiffResult(changes=not same(old.inputs, new.inputs))
        news = seen_by(provider, new.inputs)
        return await provider.diff(as_resource(old, provider), news, new.ignore_changes)

    async def _replace(
        self,
        goal: Goal,
        old: ResourceState,
        new: ResourceState,
        provider: Provider | None,
        diff: DiffResult,
    ) -> list[Step]:
        if new.protect and old.protect and not self._ignores_protection:
            self.error(
                f'unable to replace resource "{new.urn}"\nas it is currently marked for protection. To '
                "unprotect the resource, remove the `protect` flag from the resource in your Pulumi program "
                "and run `pulumi up`",
                new.urn,
            )
            if not self._preview:
                raise BailError
        self.sets.replaced.add(new.urn)
        if provider is not None and not self.targets.replaces(new.urn, old):
            new = replace(new, inputs=await self._check(new, None, goal.properties, provider))
        delete_first = diff.delete_before_replace
        if goal.delete_before_replace is not None:
            delete_first = goal.delete_before_replace
        if delete_first:
            return await self._replace_deleting_first(old, new, diff)
        return [
            _step(Op.CREATE_REPLACEMENT, old, new, diff, logical=False),
            _step(Op.REPLACE, old, new, diff),
        ]

    async def _replace_deleting_first(
        self, old: ResourceState, new: ResourceState, diff: DiffResult
    ) -> list[Step]:
        steps = []
        for dependent in await self._dependents.of(old, self.sets.decided()):
            if dependent.protect and not (dependent.delete or self._ignores_protection):
                self.error(
                    f'unable to replace resource "{dependent.urn}" as part of replacing "{new.urn}" as it is '
                    "currently marked for protection. To unprotect the resource, remove the `protect` flag "
                    "from the resource in your Pulumi program and run `pulumi up`, or use the command:\n"
                    f"`pulumi state unprotect '{dependent.urn}'`",
                    new.urn,
                )
                raise BailError
            steps.append(_delete_first(dependent))
            self.sets.deleted.add(dependent.urn)
        if not old.pending_replacement:
            self.sets.deleted.add(old.urn)
            steps.append(_delete_first(old))
        return [
            *steps,
            _step(Op.REPLACE, old, new, diff),
            _step(Op.CREATE_REPLACEMENT, old, new, diff, logical=False),
        ]

    # -------------------------------------------------------------- targets

    def _untargeted(
        self, old: ResourceState | None, new: ResourceState, provider: Provider | None
    ) -> list[Step]:
        """What is not targeted stays as it is; what is new and not targeted is not made."""
        if old is None:
            self.sets.same.add(new.urn)
            return [self._skipped_create(new if provider is None else replace(new, inputs={}))]
        self.sets.same.add(new.urn)
        return self._kept(old, new.urn)

    def _kept(self, old: ResourceState, wanted_by: str) -> list[Step]:
        """Keep a record, and first those of what it needs that the program no longer asks for."""
        self.sets.seen.add(old.urn)
        self.sets.same.add(old.urn)
        steps: list[Step] = []
        for urn in sorted(old.needs()):
            if self.sets.has_step(urn) or self.sets.operated(self.aliases.current(urn)):
                continue
            needed = self._journal.by_urn().get(urn)
            if needed is None:
                self.error(f"{urn}, which untargeted resource {wanted_by} needs, has no old state", wanted_by)
                raise BailError
            steps += self._kept(needed, wanted_by)
        return [*steps, Step(op=Op.SAME, old=old, new=old, untargeted=True)]

    def _refuse_skipped_dependencies(self, steps: list[Step]) -> None:
        if not self.targets.constrained:
            return
        for step in steps:
            if step.new is None or step.skipped_create:
                continue
            for urn in sorted(step.new.needs() & self.sets.skipped):
                self.error(
                    f"Resource '{step.urn}' depends on '{urn}' which was was not specified in --target list.",
                    step.urn,
                )
                if not self._preview:
                    raise BailError
                self.sets.skipped.discard(urn)

    def goes(self, urn: str) -> bool:
        """Whether a resource has been decided to be deleted."""
        return urn in self.sets.deleted

    def error(self, message: str, urn: str) -> None:
        """Refuse something for a reason that the user is told."""
        self.saw_error = True
        self._events.diagnostic("error", message, urn)


def _step(op: str, old: ResourceState, new: ResourceState, diff: DiffResult, *, logical: bool = True) -> Step:
    return Step(
        op=op, old=old, new=new, keys=tuple(diff.replaces), diffs=tuple(diff.diffs), detailed=diff.detailed,
        logical=logical,
    )  # fmt: skip


def _delete_first(old: ResourceState) -> Step:
    if old.delete:
        return Step(op=Op.DELETE, old=old)
    return Step(op=Op.DELETE_REPLACED, old=old, logical=False, keep_record=True)
