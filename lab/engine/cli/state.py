"""`state ...`: a stack's state edited by hand."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from lab.engine.cli.context import CommandError, Session
from lab.engine.cli.words import CWD, STACK, YES, Command, Group, hidden, switch
from lab.engine.state import edit
from lab.engine.state.model import Snapshot

__all__ = ["GROUP"]

T = TypeVar("T")

_CONFIRM = "This command will edit your stack's state directly. Confirm?"
_CONFIRM_PROTECT = (
    "This will protect by modifying the stack state directly.\n"
    "If your program does not also set the 'protect' resource option, Pulumi will unprotect the \n"
    "resource the next time your program runs (e.g. as part of a `pulumi up`)\n"
    "Confirm?"
)


def _edit(
    cwd: Path | None,
    name: str | None,
    change: Callable[[Snapshot], T],
    *,
    yes: bool,
    question: str = _CONFIRM,
) -> T:
    """Change the state under the stack's lock, whole or not at all. Raises `CommandError`."""
    stack = Session(cwd=(cwd or Path()).resolve(), stack_option=name).stack()
    if not yes and sys.stdin.isatty():
        answer = input(f"warning: {question} [y/N] ").strip().lower()
        if answer not in {"y", "yes"}:
            raise CommandError("confirmation declined")
    with stack.session.backend.locked(stack.session.project.name, stack.name):
        snapshot, checkpoint = stack.load(stack.deployment())
        try:
            result = change(snapshot)
        except edit.EditError as error:
            raise CommandError(str(error)) from error
        stack.write(checkpoint.encode(snapshot))
    return result


def _required(urns: Sequence[str]) -> Sequence[str]:
    if not urns:
        raise CommandError("Must supply <resource URN>")
    return urns


def _warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


def delete(
    *urns: str, cwd: Path | None, stack_name: str | None, yes: bool, force: bool, target_dependents: bool,
    every: bool, non_interactive: bool,
) -> None:  # fmt: skip
    """Remove resources from the state; the real resources stay."""
    del non_interactive
    if every:
        if urns:
            raise CommandError("cannot specify a resource URN when deleting all resources")
        _edit(cwd, stack_name, lambda found: edit.delete_all(found, force=force, warn=_warn), yes=yes)
        print("Resources deleted")
        return
    named = _required(urns)
    count = _edit(
        cwd, stack_name,
        lambda found: edit.delete(found, named, force=force, dependents=target_dependents, warn=_warn),
        yes=yes,
    )  # fmt: skip
    print("Resource deleted" if count == 1 else f"{count} resources deleted")


def protect(
    *urns: str, cwd: Path | None, stack_name: str | None, yes: bool, every: bool, non_interactive: bool
) -> None:  # fmt: skip
    """Protect resources from deletion, until the program says otherwise."""
    del non_interactive
    _protect(cwd, stack_name, None if every else _required(urns), protected=True, yes=yes)


def unprotect(
    *urns: str, cwd: Path | None, stack_name: str | None, yes: bool, every: bool, non_interactive: bool
) -> None:  # fmt: skip
    """Remove the protection of resources."""
    del non_interactive
    _protect(cwd, stack_name, None if every else _required(urns), protected=False, yes=yes)


def _protect(
    cwd: Path | None, name: str | None, urns: Sequence[str] | None, *, protected: bool, yes: bool
) -> None:
    word = "protected" if protected else "unprotected"
    question = _CONFIRM_PROTECT if protected else _CONFIRM
    if urns is None:
        _edit(
            cwd, name, lambda found: edit.protect_all(found, protected=protected), yes=yes, question=question
        )
        print(f"All resources {word}")
        return
    count = _edit(
        cwd, name, lambda found: edit.protect(found, urns, protected=protected), yes=yes, question=question
    )
    print(f"{count} resources {word}")


def rename(
    urn: str | None = None, name: str | None = None, *, cwd: Path | None, stack_name: str | None, yes: bool,
    non_interactive: bool,
) -> None:  # fmt: skip
    """Rename a resource in the state."""
    del non_interactive
    if urn is None or name is None:
        raise CommandError("Must supply <resource URN> and <new name>")
    _edit(cwd, stack_name, lambda found: edit.rename(found, urn, name), yes=yes)
    print("Resource renamed")


_EVERY: Final = switch("--all", does="Every resource of the stack.", into="every")
_IGNORED: Final = hidden(switch("--non-interactive"))
_URNS: Final = ("[URN]...",)
_DELETE_OPTIONS: Final = (
    CWD, STACK, YES, switch("--force", does="Also protected resources."),
    switch("--target-dependents", does="Also their dependents."), _EVERY, _IGNORED,
)  # fmt: skip
_PROTECT_OPTIONS: Final = (CWD, STACK, YES, _EVERY, _IGNORED)

GROUP: Final = Group(
    does="Edit a stack's state.",
    commands={
        "delete": Command(run=delete, takes=_URNS, options=_DELETE_OPTIONS),
        "remove": Command(run=delete, takes=_URNS, options=_DELETE_OPTIONS, hidden=True),
        "rm": Command(run=delete, takes=_URNS, options=_DELETE_OPTIONS, hidden=True),
        "protect": Command(run=protect, takes=_URNS, options=_PROTECT_OPTIONS),
        "unprotect": Command(run=unprotect, takes=_URNS, options=_PROTECT_OPTIONS),
        "rename": Command(run=rename, takes=("[URN]", "[NAME]"), options=(CWD, STACK, YES, _IGNORED)),
    },
)
