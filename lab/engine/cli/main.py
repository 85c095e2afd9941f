"""The command line as a whole."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.engine.cli import config, stack, state
from lab.engine.cli.context import CommandError, Session
from lab.engine.launch import launch_ahead
from lab.interrupts import end_in_order
from lab.stacks import StackNameError, named_stack

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A small deployment engine for rehearsals, with Pulumi's own commands.",
)
app.add_typer(stack.app, name="stack", help="Manage stacks and show their state.")
app.add_typer(state.app, name="state", help="Edit a stack's state.")
app.add_typer(config.app, name="config", help="Manage a stack's configuration.")

_PARALLEL_PER_CPU = 4  # pulumi/pulumi, pkg/cmd/pulumi/operations/up.go

Cwd = Annotated[Path | None, typer.Option("--cwd", "-C", help="Run in this folder.")]
StackName = Annotated[str | None, typer.Option("--stack", "-s", help="The stack's name.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
SkipPreview = Annotated[bool, typer.Option("--skip-preview", "-f", help="Skip the preview.")]
PreviewOnly = Annotated[bool, typer.Option("--preview-only", help="Show the changes, but do not make them.")]
Diff = Annotated[bool, typer.Option("--diff", help="Show every difference completely.")]
Json = Annotated[bool, typer.Option("--json", "-j", help="Print JSON.")]
Parallel = Annotated[
    int, typer.Option("--parallel", "-p", envvar="PULUMI_PARALLEL", help="Steps in parallel.")
]
Continue = Annotated[
    bool,
    typer.Option("--continue-on-error", envvar="PULUMI_CONTINUE_ON_ERROR", help="Continue after a failure."),
]
NoChanges = Annotated[bool, typer.Option("--expect-no-changes", help="Fail (exit code 7) on any change.")]
EventLog = Annotated[Path | None, typer.Option("--event-log", help="Append all events to this file.")]
Target = Annotated[list[str] | None, typer.Option("--target", "-t", help="Only this URN; repeatable.")]
Dependents = Annotated[bool, typer.Option("--target-dependents", help="Also the targets' dependents.")]
Exclude = Annotated[
    list[str] | None, typer.Option("--exclude", "-x", help="All except this URN; repeatable.")
]
ExcludeDependents = Annotated[
    bool, typer.Option("--exclude-dependents", help="Also the dependents of excluded URNs.")
]
Replace = Annotated[list[str] | None, typer.Option("--replace", help="Replace this URN; repeatable.")]
TargetReplace = Annotated[
    list[str] | None,
    typer.Option("--target-replace", help="Replace this URN and change no other; repeatable."),
]
Refresh = Annotated[bool, typer.Option("--refresh", "-r", help="Refresh the state first.")]
RunProgram = Annotated[
    bool, typer.Option("--run-program", envvar="PULUMI_RUN_PROGRAM", help="Run the program.")
]
IgnoreProtect = Annotated[
    bool, typer.Option("--ignore-protect", help="Also delete and replace protected resources.")
]
Ignored = Annotated[bool, typer.Option("--non-interactive", hidden=True)]
Message = Annotated[str | None, typer.Option("--message", "-m", hidden=True)]
Color = Annotated[str | None, typer.Option("--color", hidden=True)]

_DEFAULT_PARALLEL = _PARALLEL_PER_CPU * (os.cpu_count() or 1)


def _operate(
    kind: str, cwd: Path | None, name: str | None, options: dict[str, object], **flags: object
) -> None:
    stack_ = Session(cwd=(cwd or Path()).resolve(), stack_option=name).stack()
    stack_.open_ahead()
    if kind == "update" or options.get("run_program"):
        launch_ahead(stack_.session.project)
    from lab.engine.cli.operations import Flags, operate  # noqa: PLC0415 - other commands start without it
    from lab.engine.deploy import Options  # noqa: PLC0415

    made: dict[str, Any] = {
        key: tuple(value or ()) if isinstance(value, list | None) else value for key, value in options.items()
    }
    if options["targets"] and options["excludes"]:
        raise CommandError(
            "if any flags in the group [target exclude] are set none of the others can be; [exclude target] "
            "were all set"
        )
    for also in made.pop("target_replaces", ()):
        made["targets"] += (also,)
        made["replaces"] += (also,)
    operate(stack_, kind, Options(**made), Flags(**flags))  # type: ignore[arg-type]


@app.command()
def up(
    *,
    cwd: Cwd = None, stack_name: StackName = None, yes: Yes = False, skip_preview: SkipPreview = False,
    diff: Diff = False, json: Json = False, parallel: Parallel = _DEFAULT_PARALLEL,
    continue_on_error: Continue = False, expect_no_changes: NoChanges = False, event_log: EventLog = None,
    target: Target = None, target_dependents: Dependents = False, exclude: Exclude = None,
    exclude_dependents: ExcludeDependents = False, replace: Replace = None,
    target_replace: TargetReplace = None, refresh: Refresh = False, run_program: RunProgram = False,
    ignore_protect: IgnoreProtect = False,
    non_interactive: Ignored = False, message: Message = None, color: Color = None,
) -> None:  # fmt: skip
    """Create, update and delete resources as the program says."""
    del non_interactive, message, color
    _operate(
        "update", cwd, stack_name,
        {"parallel": parallel, "continue_on_error": continue_on_error,
         "targets": target, "target_dependents": target_dependents, "excludes": exclude,
         "exclude_dependents": exclude_dependents, "replaces": replace, "target_replaces": target_replace,
         "refresh": refresh, "run_program": run_program, "ignore_protect": ignore_protect},
        yes=yes, skip_preview=skip_preview, diff=diff, json=json, expect_no_changes=expect_no_changes,
        event_log=event_log,
    )  # fmt: skip


@app.command()
def preview(
    *,
    cwd: Cwd = None, stack_name: StackName = None, diff: Diff = False, json: Json = False,
    parallel: Parallel = _DEFAULT_PARALLEL, expect_no_changes: NoChanges = False, event_log: EventLog = None,
    target: Target = None, target_dependents: Dependents = False, exclude: Exclude = None,
    exclude_dependents: ExcludeDependents = False, replace: Replace = None,
    target_replace: TargetReplace = None, refresh: Refresh = False, run_program: RunProgram = False,
    ignore_protect: IgnoreProtect = False,
    non_interactive: Ignored = False, message: Message = None, color: Color = None,
) -> None:  # fmt: skip
    """Show the changes that `up` would make."""
    del non_interactive, message, color
    _operate(
        "update", cwd, stack_name,
        {"parallel": parallel, "targets": target, "target_dependents": target_dependents, "excludes": exclude,
         "exclude_dependents": exclude_dependents, "replaces": replace, "target_replaces": target_replace,
         "refresh": refresh, "run_program": run_program, "ignore_protect": ignore_protect},
        preview_only=True, diff=diff, json=json, expect_no_changes=expect_no_changes, event_log=event_log,
    )  # fmt: skip


@app.command()
def destroy(
    *,
    cwd: Cwd = None, stack_name: StackName = None, yes: Yes = False, skip_preview: SkipPreview = False,
    preview_only: PreviewOnly = False, diff: Diff = False, json: Json = False,
    parallel: Parallel = _DEFAULT_PARALLEL, continue_on_error: Continue = False, event_log: EventLog = None,
    target: Target = None, target_dependents: Dependents = False, exclude: Exclude = None,
    exclude_protected: Annotated[
        bool, typer.Option("--exclude-protected", help="Keep protected resources and their dependencies.")
    ] = False,
    ignore_protect: IgnoreProtect = False,
    remove: Annotated[bool, typer.Option("--remove", help="Also remove the stack and its file.")] = False,
    refresh: Refresh = False, run_program: RunProgram = False,
    non_interactive: Ignored = False, message: Message = None, color: Color = None,
) -> None:  # fmt: skip
    """Delete all resources of the stack."""
    del non_interactive, message, color
    _operate(
        "destroy", cwd, stack_name,
        {"parallel": parallel, "continue_on_error": continue_on_error, "targets": target,
         "target_dependents": target_dependents, "excludes": exclude, "refresh": refresh,
         "run_program": run_program, "ignore_protect": ignore_protect},
        yes=yes, skip_preview=skip_preview, preview_only=preview_only, diff=diff, json=json, remove=remove,
        event_log=event_log, exclude_protected=exclude_protected,
    )  # fmt: skip


@app.command()
def refresh(
    *,
    cwd: Cwd = None, stack_name: StackName = None, yes: Yes = False, skip_preview: SkipPreview = False,
    preview_only: PreviewOnly = False, diff: Diff = False, json: Json = False,
    parallel: Parallel = _DEFAULT_PARALLEL, expect_no_changes: NoChanges = False, event_log: EventLog = None,
    target: Target = None, target_dependents: Dependents = False, exclude: Exclude = None,
    exclude_dependents: ExcludeDependents = False,
    clear_pending_creates: Annotated[bool, typer.Option(help="Forget interrupted creations.")] = False,
    run_program: RunProgram = False,
    non_interactive: Ignored = False, message: Message = None, color: Color = None,
) -> None:  # fmt: skip
    """Update the state with the real resources."""
    del non_interactive, message, color
    _operate(
        "refresh", cwd, stack_name,
        {"parallel": parallel, "targets": target, "target_dependents": target_dependents,
         "excludes": exclude, "exclude_dependents": exclude_dependents,
         "clear_pending_creates": clear_pending_creates, "run_program": run_program},
        yes=yes, skip_preview=skip_preview, preview_only=preview_only, diff=diff, json=json,
        expect_no_changes=expect_no_changes, event_log=event_log,
    )  # fmt: skip


@app.command()
def cancel(*, cwd: Cwd = None, stack_name: StackName = None, yes: Yes = False) -> None:
    """Release the lock of a killed run."""
    session = Session(cwd=(cwd or Path()).resolve(), stack_option=stack_name)
    name = session.stack_name()
    if not yes and not sys.stdin.isatty():
        raise CommandError("--yes must be passed in to proceed when running in non-interactive mode")
    count = session.backend.cancel(session.project.name, name)
    print(f"{count} lock(s) of the stack {name} released")


@app.command()
def version(
    *, stack_name: Annotated[str | None, typer.Option("--stack", "-s", hidden=True)] = None
) -> None:  # fmt: skip
    """Print the version of Pulumi that this engine imitates: its state format and semantics."""
    del stack_name
    print("v3.260.0")


def main() -> None:
    """Run the command line; an error is `error: ...` on stderr, never a traceback."""
    from lab.engine.project import ProjectError  # noqa: PLC0415 - after the parser, for a quick --help
    from lab.engine.state.model import StateError  # noqa: PLC0415

    code = 0
    try:
        end_in_order()
        named_stack(sys.argv[1:])
        app()
    except KeyboardInterrupt:
        code = 130  # as a shell has it
    except StackNameError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except CommandError as error:
        if str(error):
            print(f"error: {error}", file=sys.stderr)
        code = error.code
    except (ProjectError, StateError) as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            sys.stdout.close()
        code = 1
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    raise SystemExit(code)
