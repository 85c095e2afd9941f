"""The command line as a whole."""

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lab.engine.cli import config, stack, state
from lab.engine.cli.context import CommandError, Session
from lab.engine.cli.words import CWD, STACK, YES, Command, Group, hidden, repeated, run, switch, value
from lab.engine.launch import QUIET_GRPC, launch_ahead
from lab.engine.project import ProjectError
from lab.engine.state.model import StateError
from lab.interrupts import end_in_order
from lab.stacks import StackNameError, named_stack

__all__ = ["main"]

_PARALLEL_PER_CPU: Final = 4  # pulumi/pulumi, pkg/cmd/pulumi/operations/up.go


def _operate(kind: str, *, cwd: Path | None, stack_name: str | None, **given: Any) -> None:
    """Run an operation; what was given has the names of `Flags` and `Options`, and some more."""
    stack_ = Session(cwd=(cwd or Path()).resolve(), stack_option=stack_name).stack()
    stack_.open_ahead()
    if kind == "update" or given.get("run_program"):
        launch_ahead(stack_.session.project.folder, os.environ)
    from lab.engine.cli.operations import Flags, operate  # noqa: PLC0415 - other commands start without it
    from lab.engine.deploy import Options  # noqa: PLC0415

    for ignored in ("non_interactive", "message", "color"):
        del given[ignored]
    if given["targets"] and given["excludes"]:
        raise CommandError(
            "if any flags in the group [target exclude] are set none of the others can be; [exclude target] "
            "were all set"
        )
    both = given.pop("target_replaces", None) or ()
    for name in ("targets", "excludes", "replaces"):
        given[name] = (*(given.get(name) or ()), *(() if name == "excludes" else both))
    flags = {name: given.pop(name) for name in Flags.__dataclass_fields__ if name in given}
    operate(stack_, kind, Options(**given), Flags(**flags))  # type: ignore[arg-type]


def up(**given: Any) -> None:
    """Create, update and delete resources as the program says."""
    _operate("update", **given)


def preview(**given: Any) -> None:
    """Show the changes that `up` would make."""
    _operate("update", preview_only=True, **given)


def destroy(**given: Any) -> None:
    """Delete all resources of the stack."""
    _operate("destroy", **given)


def refresh(**given: Any) -> None:
    """Update the state with the real resources."""
    _operate("refresh", **given)


def cancel(*, cwd: Path | None, stack_name: str | None, yes: bool) -> None:
    """Release the lock of a killed run."""
    session = Session(cwd=(cwd or Path()).resolve(), stack_option=stack_name)
    name = session.stack_name()
    if not yes and not sys.stdin.isatty():
        raise CommandError("--yes must be passed in to proceed when running in non-interactive mode")
    count = session.backend.cancel(session.project.name, name)
    print(f"{count} lock(s) of the stack {name} released")


def version(*, stack_name: str | None) -> None:
    """Print the version of Pulumi that this engine imitates: its state format and semantics."""
    del stack_name
    print("v3.260.0")


_ASKS: Final = (YES, switch("--skip-preview", "-f", does="Skip the preview."))
_ONLY: Final = switch("--preview-only", does="Show the changes, but do not make them.")
_ALL_RUNS: Final = (
    CWD,
    STACK,
    switch("--diff", does="Show every difference completely."),
    switch("--json", "-j", does="Print JSON."),
    value(
        "--parallel", "-p", shown="COUNT", does="Steps in parallel.", kind=int, variable="PULUMI_PARALLEL",
        default=_PARALLEL_PER_CPU * (os.cpu_count() or 1),
    ),
    value("--event-log", shown="FILE", does="Append all events to this file.", kind=Path),
    repeated("--target", "-t", does="Only this URN", into="targets"),
    switch("--target-dependents", does="Also the targets' dependents."),
    repeated("--exclude", "-x", does="All except this URN", into="excludes"),
    switch("--run-program", does="Run the program.", variable="PULUMI_RUN_PROGRAM"),
    hidden(switch("--non-interactive")),
    hidden(value("--message", "-m", shown="TEXT")),
    hidden(value("--color", shown="WHEN")),
)  # fmt: skip
_CONTINUES: Final = switch(
    "--continue-on-error", does="Continue after a failure.", variable="PULUMI_CONTINUE_ON_ERROR"
)
_NO_CHANGES: Final = switch("--expect-no-changes", does="Fail (exit code 7) on any change.")
_REFRESHES: Final = switch("--refresh", "-r", does="Refresh the state first.")
_UNPROTECTED: Final = switch("--ignore-protect", does="Also delete and replace protected resources.")
_WITH_DEPENDENTS: Final = switch("--exclude-dependents", does="Also the dependents of excluded URNs.")
_UPDATES: Final = (
    *_ALL_RUNS,
    _WITH_DEPENDENTS,
    _NO_CHANGES,
    repeated("--replace", does="Replace this URN", into="replaces"),
    repeated("--target-replace", does="Replace this URN and change no other", into="target_replaces"),
    _REFRESHES,
    _UNPROTECTED,
)

_COMMANDS: Final = Group(
    does="A small deployment engine for rehearsals, with Pulumi's own commands.",
    commands={
        "up": Command(run=up, options=(*_ASKS, *_UPDATES, _CONTINUES)),
        "preview": Command(run=preview, options=_UPDATES),
        "destroy": Command(
            run=destroy,
            options=(
                *_ASKS,
                _ONLY,
                *_ALL_RUNS,
                _CONTINUES,
                switch("--exclude-protected", does="Keep protected resources and their dependencies."),
                _UNPROTECTED,
                switch("--remove", does="Also remove the stack and its file."),
                _REFRESHES,
            ),
        ),
        "refresh": Command(
            run=refresh,
            options=(
                *_ASKS,
                _ONLY,
                *_ALL_RUNS,
                _WITH_DEPENDENTS,
                _NO_CHANGES,
                switch("--clear-pending-creates", does="Forget interrupted creations."),
            ),
        ),
        "cancel": Command(run=cancel, options=(CWD, STACK, YES)),
        "version": Command(run=version, options=(hidden(STACK),)),
        "stack": stack.GROUP,
        "state": state.GROUP,
        "config": config.GROUP,
    },
)


def main(words: Sequence[str]) -> int:
    """Run the command line; an error is `error: ...` on stderr, never a traceback. Returns the exit code."""
    for name, quiet in QUIET_GRPC.items():
        os.environ.setdefault(name, quiet)
    code = 0
    try:
        end_in_order()
        named_stack(words)
        run(_COMMANDS, words)
    except KeyboardInterrupt:
        code = 130  # as a shell has it
    except CommandError as error:
        if str(error):
            print(f"error: {error}", file=sys.stderr)
        code = error.code
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            sys.stdout.close()
        code = 1
    except (StackNameError, ProjectError, StateError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    return code
