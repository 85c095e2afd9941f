"""Deciding: from what a program asks for and what the state has, to steps.

The decisions follow pulumi/pulumi, pkg/resource/deploy/step_generator.go. One registration is decided at
a time; steps of different resources then run side by side.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from lab.engine.deploy.events import Events
from lab.engine.deploy.goal import Alias, Goal
from lab.engine.deploy.paths import contains, parse_path, reset
from lab.engine.deploy.request import Options
from lab.engine.deploy.secrecy import mark_outputs
from lab.engine.deploy.steps import Op, Step
from lab.engine.deploy.targets import Targets
from lab.engine.provider import DiffKind, DiffResult, PropertyDiff, Provider, Resource
from lab.engine.state.model import STACK_TYPE, ResourceState, urn_name, urn_type
from lab.engine.values import UNKNOWN, contains_unknown, plain, same

__all__ = ["BailError", "Generator", "as_resource"]

FindProvider = Callable[[ResourceState], Awaitable[Provider | None]]


class BailError(Exception):
    """The operation stops; what there is to say has been said."""


def as_resource(state: ResourceState, *, secrets: bool) -> Resource:
    """Return a record as a provider sees it."""
    inputs, outputs = (
        (state.inputs, state.outputs) if secrets else (plain(state.inputs), plain(state.outputs))
    )
    return Resource(urn=state.urn, type=state.type, id=str(state.id), inputs=inputs, outputs=outputs)


@dataclass
class _Sets:
    """Which resources have been decided, and how."""

    registered: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    decided: set[str] = field(default_factory=set)


class Generator:
    """Decides the steps of one operation."""

    def __init__(
        self,
        *,
        olds: Iterable[ResourceState],
        options: Options,
        events: Events,
        provider: FindProvider,
        preview: bool,
    ) -> None:
        self.olds = {old.urn: old for old in olds if not old.delete}
        """What the state has, by URN; brought up to date as records change."""
        self._order = list(self.olds)
        self._options = options
        self._targets = Targets(options)
        self._events = events
        self._provider = provider
        self._preview = preview
        self._sets = _Sets()
        self._dependent_keys: dict[str, tuple[str, ...]] = {}
        self._former: dict[str, list[str]] = {}
        self.saw_error = False
        """Whether something was refused although the operation went on (previews)."""

    def registered(self, urn: str) -> bool:
        """Whether the program, or an alias, has claimed this record of the state."""
        return urn in self._sets.registered

    def deleted(self, urn: str) -> bool:
        """Whether a delete step for this record has been decided."""
        return urn in self._sets.deleted

    def keep(self, urn: str, goal: Goal) -> None:
        """Count a resource as asked for although nothing is done to it: what it needs has failed."""
        old = self._find_old(urn, goal)
        self._sets.registered.update({urn} if old is None else {urn, old.urn})

    def forget_registrations(self) -> None:
        """Count nothing as claimed: everything is to be deleted."""
        self._sets.registered.clear()

    # -------------------------------------------------------------- registration

    async def decide(self, urn: str, goal: Goal, provider_reference: str) -> tuple[list[Step], bool]:
        """Return the steps of one registration; the flag says that it is skipped as not targeted."""
        if urn in self._sets.registered:
            self._error(f"Duplicate resource URN '{urn}'; try giving it a unique name", urn)
            raise BailError
        self._sets.registered.add(urn)
        old = self._find_old(urn, goal)
        if old is not None:
            self._sets.registered.add(old.urn)
        new = self._new_state(urn, goal, provider_reference, old)
        provider = await self._provider(new) if goal.custom else None
        recreating = old is not None and old.urn in self._sets.deleted
        new = await self._checked(new, old if not recreating else None, provider, goal)
        implicit = new.is_provider or new.type == STACK_TYPE
        if not implicit and not self._targets.includes(new):
            return self._untargeted(old, new)
        self._refuse_skipped_dependencies(new)
        self._sets.decided.add(urn)
        if old is None:
            return [Step(op=Op.CREATE, new=new)], False
        if recreating:
            self._sets.deleted.discard(old.urn)
            self._sets.replaced.add(urn)
            keys = self._dependent_keys.get(old.urn, ())
            return [
                Step(op=Op.REPLACE, old=old, new=new),
                Step(op=Op.CREATE_REPLACEMENT, old=old, new=new, keys=keys, logical=False),
            ], False
        return await self._compare(goal, old, new, provider), False

    def _new_state(
        self, urn: str, goal: Goal, provider_reference: str, old: ResourceState | None
    ) -> ResourceState:
        return ResourceState(
            urn=urn,
            type=goal.type,
            custom=goal.custom,
            inputs=goal.properties,
            parent=goal.parent,
            protect=goal.protect,
            dependencies=goal.dependencies,
            provider=provider_reference,
            property_dependencies=goal.property_dependencies,
            additional_secret_outputs=goal.additional_secret_outputs,
            custom_timeouts=goal.custom_timeouts,
            retain_on_delete=goal.retain_on_delete,
            deleted_with=goal.deleted_with,
            replace_with=goal.replace_with,
            created=old.created if old else "",
            modified=old.modified if old else "",
            ignore_changes=goal.ignore_changes,
            hide_diff=goal.hide_diff,
            replace_on_changes=goal.replace_on_changes,
            replacement_trigger=goal.replacement_trigger,
            resource_hooks=goal.hooks,
        )

    def _find_old(self, urn: str, goal: Goal) -> ResourceState | None:
        """Return the record of this resource, under its own URN or an alias."""
        for candidate in (urn, *self._aliases(urn, goal)):
            old = self.olds.get(candidate)
            if old is None:
                continue
            if candidate != urn and candidate in self._sets.registered:
                self._error(f"Duplicate resource alias '{candidate}' applied to resource '{urn}'", urn)
                raise BailError
            return old
        return None

    def _aliases(self, urn: str, goal: Goal) -> list[str]:
        """Return every URN the resource may have had: its own aliases and those of its parents."""
        prefix = "::".join(urn.split("::")[:2])
        parents = [goal.parent]
        known = self._former.get(goal.parent, [])
        parents += known
        found: list[str] = []
        for alias in (Alias(), *goal.aliases):
            if alias.urn:
                found.append(alias.urn)
                continue
            over = [""] if alias.no_parent else parents if alias.parent is None else [alias.parent]
            for parent in over:
                name = alias.name or goal.name
                if parent in known and not alias.name:
                    # a child named after its parent follows the parent's old name
                    name = _renamed(goal.name, urn_name(goal.parent), urn_name(parent))
                found.append(make_urn(prefix, parent, alias.type or goal.type, name))
                if name != goal.name and parent in known:
                    found.append(make_urn(prefix, parent, alias.type or goal.type, goal.name))
        found = [candidate for candidate in dict.fromkeys(found) if candidate != urn]
        if found:
            self._former[urn] = found
        return found

    async def _checked(
        self, new: ResourceState, old: ResourceState | None, provider: Provider | None, goal: Goal
    ) -> ResourceState:
        if old is not None:
            new = replace(new, inputs=self._with_ignored(new, old))
        if provider is None:
            return new
        inputs = await self._check(new, old, provider)
        # which URNs a property depends on is kept for every input there is
        dependencies = {name: goal.property_dependencies.get(name, []) for name in goal.property_dependencies}
        return replace(new, inputs=inputs, property_dependencies=dependencies)

    async def _check(
        self, new: ResourceState, old: ResourceState | None, provider: Provider
    ) -> dict[str, Any]:
        if provider.accepts_secrets:
            olds, news = (old.inputs if old else None), new.inputs
        else:
            olds, news = (plain(old.inputs) if old else None), plain(new.inputs)
        result = await provider.check(new.urn, new.type, olds, news)
        for failure in result.failures:
            where = f"property {failure.property} " if failure.property else ""
            self._error(f"{new.type} resource '{new.name}': {where}has a problem: {failure.reason}", new.urn)
        if result.failures:
            raise BailError
        return mark_outputs(dict(result.inputs), new.inputs, ())

    def _with_ignored(self, new: ResourceState, old: ResourceState) -> dict[str, Any]:
        """Put old inputs back where changes are ignored."""
        inputs: Any = new.inputs
        for text in new.ignore_changes:
            inputs, done = reset(old.inputs, inputs, parse_path(text))
            if not done:
                self._events.diagnostic(
                    "info",
                    f"cannot ignore changes to the following properties because one or more elements of the "
                    f"path are missing: {text!r}".replace("'", '"'),
                    new.urn,
                )
        return dict(inputs)

    # -------------------------------------------------------------- comparing

    async def _compare(
        self, goal: Goal, old: ResourceState, new: ResourceState, provider: Provider | None
    ) -> list[Step]:
        if not self._preview and contains_unknown(new.replacement_trigger):
            self._error(f"replacement trigger contains unknowns for {new.urn}", new.urn)
            raise BailError
        triggered = _triggers(plain(old.replacement_trigger), plain(new.replacement_trigger))
        diff = DiffResult(changes=True) if triggered else await self._diff(old, new, provider, goal)
        diff = _replace_on_changes(diff, goal.replace_on_changes, initialised=not old.init_errors)
        if not diff.changes and not old.pending_replacement:
            if old.init_errors:
                return [self._step(Op.UPDATE, old, new, diff)]
            return [Step(op=Op.SAME, old=old, new=new)]
        if diff.replaces or _replaces(diff) or triggered or old.pending_replacement:
            return await self._replace(goal, old, new, provider, diff)
        return [self._step(Op.UPDATE, old, new, diff)]

    async def _diff(
        self, old: ResourceState, new: ResourceState, provider: Provider | None, goal: Goal
    ) -> DiffResult:
        if self._targets.replaces(new.urn):
            return DiffResult(changes=True, replaces=["id"])
        if any(urn in self._sets.replaced for urn in new.replace_with):
            return DiffResult(changes=True, replaces=["replaceWith"])
        if new.deleted_with in self._sets.replaced:
            return DiffResult(changes=True, replaces=["deletedWith"])
        if self._provider_changed(old, new):
            return DiffResult(changes=True, replaces=["provider"])
        if provider is None:
            changed = not same(old.inputs, new.inputs) and not new.is_provider
            return DiffResult(changes=changed or (new.is_provider and not same(old.inputs, new.inputs)))
        news = new.inputs if provider.accepts_secrets else plain(new.inputs)
        return await provider.diff(
            as_resource(old, secrets=provider.accepts_secrets), news, goal.ignore_changes
        )

    def _provider_changed(self, old: ResourceState, new: ResourceState) -> bool:
        """Another provider replaces a resource, but for a default provider of another version."""
        if not old.provider or old.provider == new.provider:
            return False
        before, after = old.provider.rpartition("::")[0], new.provider.rpartition("::")[0]
        if before == after:
            # the provider itself was replaced
            return after in self._sets.replaced
        return not (urn_name(before).startswith("default") and urn_name(after).startswith("default"))

    async def _replace(
        self,
        goal: Goal,
        old: ResourceState,
        new: ResourceState,
        provider: Provider | None,
        diff: DiffResult,
    ) -> list[Step]:
        if new.protect and old.protect:
            self._error(
                f'unable to replace resource "{new.urn}"\nas it is currently marked for protection. To '
                "unprotect the resource, remove the `protect` flag from the resource in your Pulumi program "
                "and run `pulumi up`",
                new.urn,
            )
            if not self._preview:
                raise BailError
        self._sets.replaced.add(new.urn)
        if provider is not None and not self._targets.replaces(new.urn):
            fresh = replace(new, inputs=goal.properties)
            new = replace(new, inputs=await self._check(fresh, None, provider))
        delete_first = diff.delete_before_replace
        if goal.delete_before_replace is not None:
            delete_first = goal.delete_before_replace
        if delete_first:
            return await self._replace_deleting_first(old, new, diff)
        return [
            self._step(Op.CREATE_REPLACEMENT, old, new, diff, logical=False),
            self._step(Op.REPLACE, old, new, diff),
        ]

    async def _replace_deleting_first(
        self, old: ResourceState, new: ResourceState, diff: DiffResult
    ) -> list[Step]:
        steps = []
        for dependent, keys in reversed(await self._condemned_with(old)):
            if dependent.urn in self._sets.deleted:
                continue
            self._dependent_keys[dependent.urn] = keys
            if dependent.protect:
                self._error(
                    f'unable to replace resource "{dependent.urn}" as part of replacing "{new.urn}" as it is '
                    "currently marked for protection. To unprotect the resource, remove the `protect` flag "
                    "from the resource in your Pulumi program and run `pulumi up`, or use the command:\n"
                    f"`pulumi state unprotect '{dependent.urn}'`",
                    dependent.urn,
                )
                raise BailError
            self._sets.deleted.add(dependent.urn)
            steps.append(self._delete_first(dependent))
        if not old.pending_replacement:
            steps.append(self._delete_first(old))
        return [
            *steps,
            self._step(Op.REPLACE, old, new, diff),
            self._step(Op.CREATE_REPLACEMENT, old, new, diff, logical=False),
        ]

    def _delete_first(self, old: ResourceState) -> Step:
        gone = old.deleted_with in self._sets.deleted | self._sets.replaced
        return Step(op=Op.DELETE_REPLACED, old=old, logical=False, keep_record=True, skip_provider=gone)

    async def _condemned_with(self, root: ResourceState) -> list[tuple[ResourceState, tuple[str, ...]]]:
        """Return what must be replaced because `root` is deleted first, in the order of the state."""
        condemned = {root.urn}
        found: list[tuple[ResourceState, tuple[str, ...]]] = []
        for urn in self._order[self._order.index(root.urn) + 1 :]:
            candidate = self.olds.get(urn)
            if candidate is None or urn in self._sets.decided:
                continue
            keys = await self._replaced_by(candidate, condemned)
            if keys is not None:
                condemned.add(urn)
                found.append((candidate, keys))
        return found

    async def _replaced_by(self, candidate: ResourceState, condemned: set[str]) -> tuple[str, ...] | None:
        """Return the keys for which a resource would be replaced along; None when it stays."""
        if not candidate.custom:
            return None
        provider_urn = candidate.provider.rpartition("::")[0]
        tied = {candidate.deleted_with, provider_urn, *candidate.replace_with}
        if tied & condemned:
            return ()
        touched = {
            name
            for name, urns in candidate.property_dependencies.items()
            if name in candidate.inputs and condemned & set(urns)
        }
        if not touched:
            return None
        provider = await self._provider(candidate)
        if provider is None:
            return None
        inputs = {name: UNKNOWN if name in touched else value for name, value in candidate.inputs.items()}
        news = inputs if provider.accepts_secrets else plain(inputs)
        old = as_resource(candidate, secrets=provider.accepts_secrets)
        diff = await provider.diff(old, news, candidate.ignore_changes)
        diff = _replace_on_changes(diff, candidate.replace_on_changes, initialised=True)
        return tuple(diff.replaces) if diff.replaces or _replaces(diff) else None

    def _step(
        self, op: str, old: ResourceState, new: ResourceState, diff: DiffResult, *, logical: bool = True
    ) -> Step:
        return Step(
            op=op,
            old=old,
            new=new,
            keys=tuple(diff.replaces),
            diffs=tuple(diff.diffs),
            detailed=diff.detailed,
            logical=logical,
        )

    # -------------------------------------------------------------- targets

    def _untargeted(self, old: ResourceState | None, new: ResourceState) -> tuple[list[Step], bool]:
        """What is not targeted stays as it is; what is new and not targeted is not made."""
        if old is None:
            self._sets.skipped.add(new.urn)
            return [Step(op=Op.SAME, new=new)], True
        self._sets.decided.add(new.urn)
        return [Step(op=Op.SAME, old=old, new=replace(old, urn=new.urn))], False

    def _refuse_skipped_dependencies(self, new: ResourceState) -> None:
        for urn in sorted(new.needs() & self._sets.skipped):
            self._error(
                f"Resource '{new.urn}' depends on '{urn}' which was was not specified in --target list.",
                new.urn,
            )
            if not self._preview:
                raise BailError

    def _error(self, message: str, urn: str) -> None:
        self.saw_error = True
        self._events.diagnostic("error", message, urn)

    # -------------------------------------------------------------- deletes

    def deletes(self, records: Iterable[ResourceState]) -> list[Step]:
        """Return the steps that remove what the program no longer asks for."""
        steps = []
        for record in records:
            if record.delete:
                if self._targets.includes(record):
                    steps.append(Step(op=Op.DELETE_REPLACED, old=record, logical=False))
            elif record.urn not in self._sets.registered or record.urn in self._sets.deleted:
                if not self._targets.may_delete(record):
                    continue
                self._sets.deleted.add(record.urn)
                op = Op.REMOVE_PENDING if record.pending_replacement else Op.DELETE
                steps.append(Step(op=op, old=record))
        gone = {step.urn for step in steps}
        self._targets.refuse_dependents(gone, self._error)
        return [
            replace(
                step, skip_provider=step.resource.deleted_with in gone and step.resource.deleted_with != ""
            )
            for step in steps
        ]


def make_urn(prefix: str, parent: str, type_: str, name: str) -> str:
    """Return a URN; the types of all parents but the stack are part of it."""
    if parent:
        parent_types = parent.split("::", 3)[2]
        if urn_type(parent) != STACK_TYPE:
            return f"{prefix}::{parent_types}${type_}::{name}"
    return f"{prefix}::{type_}::{name}"


def _renamed(name: str, parent: str, former_parent: str) -> str:
    return former_parent + name[len(parent) :] if name.startswith(parent) else name


def _triggers(old: Any, new: Any) -> bool:
    if contains_unknown(old) or contains_unknown(new):
        return True
    return old is not None and new is not None and not same(old, new)


def _replaces(diff: DiffResult) -> bool:
    return any(str(change.kind).endswith("-replace") for change in (diff.detailed or {}).values())


def _replace_on_changes(diff: DiffResult, texts: list[str], *, initialised: bool) -> DiffResult:
    """Turn changes below the given paths into replacements."""
    if not texts or (not diff.changes and initialised):
        return diff
    paths = [parse_path(text) for text in texts]

    def forced(text: str) -> bool:
        return any(contains(path, parse_path(text)) for path in paths)

    detailed = diff.detailed
    if detailed is not None:
        detailed = {
            text: PropertyDiff(kind=_to_replace(change.kind), input_diff=change.input_diff)
            if forced(text)
            else change
            for text, change in detailed.items()
        }
    keys = [*diff.replaces, *(name for name in diff.diffs if forced(name) and name not in diff.replaces)]
    return DiffResult(
        changes=diff.changes,
        replaces=keys,
        delete_before_replace=diff.delete_before_replace,
        diffs=diff.diffs,
        detailed=detailed,
    )


def _to_replace(kind: DiffKind) -> DiffKind:
    text = str(kind)
    return kind if text.endswith("-replace") else DiffKind(f"{text}-replace")
