"""What one operation on a stack is given, and what comes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lab.engine.deploy.journal import Keeps
from lab.engine.project import Config, Project
from lab.engine.state.model import Snapshot

__all__ = ["DeployError", "Kind", "Mode", "Options", "UpdateRequest", "UpdateResult"]

Kind = Literal["update", "refresh", "destroy"]
Mode = Literal["update", "refresh", "destroy"]
"""What a running program is for: to make what it says, or only to refresh or delete what there is."""


class DeployError(Exception):
    """An operation cannot go on; the message is for the user."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to do it.

    `parallel` is the number of provider calls at a time; `targets` and `excludes` are URNs or patterns
    with `*` and `**`; `replaces` are URNs to replace whether they changed or not.
    """

    parallel: int = 8
    continue_on_error: bool = False
    refresh: bool = False
    run_program: bool = False
    clear_pending_creates: bool = False
    ignore_protect: bool = False
    targets: tuple[str, ...] = ()
    target_dependents: bool = False
    excludes: tuple[str, ...] = ()
    exclude_dependents: bool = False
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class UpdateRequest:
    """One operation.

    `keeps` keeps the state after every change; in a preview nothing does. `emit` is called with every event.
    `stack_outputs` returns the outputs of a stack of the backend by its name, secrets marked; it raises
    `ProviderError`.
    """

    kind: Kind
    preview: bool
    project: Project
    stack: str
    config: Config
    snapshot: Snapshot
    options: Options
    keeps: Keeps | None
    emit: Callable[[dict[str, Any]], None]
    stack_outputs: Callable[[str], Mapping[str, Any]]

    @property
    def mode(self) -> Mode:
        """What the program, if it runs, is run for."""
        return self.kind if self.options.run_program else "update"

    @property
    def refreshes_first(self) -> bool:
        """Whether the whole state is read again before anything else."""
        return (self.kind == "refresh" or self.options.refresh) and not self.options.run_program

    @property
    def refreshes_as_registered(self) -> bool:
        """Whether each resource is read again when the program registers it."""
        return (self.kind == "refresh" or self.options.refresh) and self.options.run_program


@dataclass(frozen=True, kw_only=True)
class UpdateResult:
    """The state afterwards, how many resources had which operation, and whether all went well."""

    snapshot: Snapshot
    changes: Mapping[str, int] = field(default_factory=dict)
    failed: bool = False
    interrupted: bool = False
