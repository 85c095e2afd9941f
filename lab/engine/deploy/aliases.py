"""Finding a resource in the state under the name it has or one that it had."""

from collections.abc import Mapping

from lab.engine.deploy.goal import Alias, Goal
from lab.engine.state.model import STACK_TYPE, ResourceState, urn_name, urn_type

__all__ = ["AliasError", "Aliases", "make_urn"]


class AliasError(Exception):
    """Two resources claim the same record of the state."""


def make_urn(prefix: str, parent: str, type_: str, name: str) -> str:
    """Return a URN; the types of all parents but the stack are part of it."""
    if parent and urn_type(parent) != STACK_TYPE:
        parent_types = parent.split("::", 3)[2]
        return f"{prefix}::{parent_types}${type_}::{name}"
    return f"{prefix}::{type_}::{name}"


class Aliases:
    """Which records have been found under another name (step_generator.go, getOldResource)."""

    def __init__(self) -> None:
        self._claimed: dict[str, str] = {}
        self._former: dict[str, str] = {}

    def current(self, urn: str) -> str:
        """Return the name a record of the state has got in this operation."""
        return self._claimed.get(urn, urn)

    def find(
        self, urn: str, goal: Goal, olds: Mapping[str, ResourceState], seen: set[str]
    ) -> ResourceState | None:
        """Return the record of a resource, under its own URN before any alias. Raises `AliasError`."""
        if urn in self._claimed:
            raise AliasError(
                f"Duplicate resource URN '{urn}' conflicting with alias on resource with URN "
                f"'{self._claimed[urn]}'"
            )
        for candidate in (urn, *self._candidates(urn, goal)):
            old = olds.get(candidate)
            if old is None:
                continue
            if candidate != urn:
                other = urn if candidate in seen else self._claimed.get(candidate)
                if other is not None:
                    raise AliasError(
                        f"Duplicate resource alias '{candidate}' applied to resource with URN '{urn}' "
                        f"conflicting with resource with URN '{other}'"
                    )
                self._claimed[candidate] = urn
                self._former[urn] = candidate
            return old
        return None

    def _candidates(self, urn: str, goal: Goal) -> list[str]:
        own = [self._named(urn, goal, alias) for alias in goal.aliases]
        found = list(own)
        parent = self._former.get(goal.parent)
        if parent is not None:
            found.append(_inherited(urn, goal.type, goal.name, goal.parent, parent))
            found += [_inherited(urn, urn_type(alias), urn_name(alias), goal.parent, parent) for alias in own]
        return list(dict.fromkeys(found))

    def _named(self, urn: str, goal: Goal, alias: Alias) -> str:
        if alias.urn:
            return alias.urn
        parent = goal.parent
        if alias.parent:
            parent = self._former.get(alias.parent, alias.parent)
        type_, name = alias.type or goal.type, alias.name or goal.name
        if parent and not alias.no_parent and urn_type(parent) != STACK_TYPE:
            return f"{parent.rpartition('::')[0]}${type_}::{name}"
        stack, project = _stack_and_project(urn)
        return f"urn:pulumi:{alias.stack or stack}::{alias.project or project}::{type_}::{name}"


def _stack_and_project(urn: str) -> tuple[str, str]:
    head, project = urn.split("::", 2)[:2]
    return head.removeprefix("urn:pulumi:"), project


def _inherited(urn: str, type_: str, name: str, parent: str, former_parent: str) -> str:
    """A child that is named after its parent was named after its parent's former name."""
    before = urn_name(parent)
    if name.startswith(before):
        name = urn_name(former_parent) + name[len(before) :]
    return make_urn("::".join(urn.split("::")[:2]), former_parent, type_, name)
