"""up, preview, destroy, refresh."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from lab.engine.cli.context import CommandError, Stack, salt_of
from lab.engine.cli.keeper import Keeper
from lab.engine.cli.stack import STILL_THERE, forget
from lab.engine.deploy import DeployError, Options, UpdateRequest, UpdateResult, run
from lab.engine.deploy.graph import Graph
from lab.engine.deploy.request import Kind
from lab.engine.display import Digest, Screen
from lab.engine.provider import ProviderError
from lab.engine.state.model import StateError

__all__ = ["Flags", "operate"]

_TITLES = {"update": ("Previewing update", "Updating"), "destroy": ("Previewing destroy", "Destroying"),
           "refresh": ("Previewing refresh", "Refreshing")}  # fmt: skip
_CHANGES_EXIT = 7  # pulumi: a violated --expect-no-changes

_NONE_UNPROTECTED = (
    "There were no unprotected resources to destroy. There are still {count} protected resources associated "
    "with this stack."
)
_ALL_GONE = """\
The resources in the stack have been deleted, but the history and configuration associated with the stack \
are still maintained. 
If you want to remove the stack completely, run `pulumi stack rm {stack}`."""  # noqa: W291 - Pulumi's words
_UNPROTECTED_GONE = (
    "All unprotected resources were destroyed. There are still {count} protected resources associated with "
    "this stack."
)


@dataclass(frozen=True, kw_only=True)
class Flags:
    """How to show and to ask."""

    yes: bool = False
    skip_preview: bool = False
    preview_only: bool = False
    diff: bool = False
    json: bool = False
    expect_no_changes: bool = False
    event_log: Path | None = None
    exclude_protected: bool = False
    remove: bool = False


def operate(stack: Stack, kind: Kind, options: Options, flags: Flags) -> None:
    """Preview, ask, do. Raises `CommandError`."""
    if options.targets and flags.exclude_protected:
        raise CommandError("you cannot specify --target and --exclude-protected")
    if not (flags.preview_only or flags.yes or flags.skip_preview or sys.stdin.isatty()):
        raise CommandError(
            "--yes or --skip-preview must be passed in to proceed when running in non-interactive mode"
        )
    protected = _protected(stack) if flags.exclude_protected else []
    if flags.exclude_protected:
        options = replace(options, excludes=(*options.excludes, *protected))
        if protected and len(protected) == len(stack.deployment().get("resources") or []):
            print(_NONE_UNPROTECTED.format(count=len(protected)))
            return
    _operate(stack, kind, options, flags)
    if kind == "destroy" and not (protected or options.targets or flags.preview_only):
        _after_destroy(stack, flags)
    if protected and not (flags.preview_only or flags.json):
        print(_UNPROTECTED_GONE.format(count=len(protected)))


def _after_destroy(stack: Stack, flags: Flags) -> None:
    if not flags.remove:
        if not flags.json:
            print(_ALL_GONE.format(stack=stack.name))
        return
    if stack.deployment().get("resources"):
        raise CommandError(STILL_THERE.format(stack=stack.name))
    forget(stack, preserve_config=False)
    if not flags.json:
        print("The resources in the stack have been deleted, and the history and configuration removed.")


def _protected(stack: Stack) -> list[str]:
    """Return the URNs of what is protected and of all that it needs."""
    records = stack.snapshot().resources
    found = Graph(records).closure_of_dependencies(
        (record.urn for record in records if record.protect), dependents=False
    )
    return sorted(found)


def _operate(stack: Stack, kind: Kind, options: Options, flags: Flags) -> None:
    if flags.preview_only or not flags.skip_preview:
        planned = _once(stack, kind, options, flags, preview=True)
        if flags.preview_only:
            return
        if not flags.yes and not _confirmed(stack, kind, planned):
            raise CommandError(f"confirmation declined, not proceeding with the {kind}")
    with stack.session.backend.locked(stack.session.project.name, stack.name):
        _once(stack, kind, options, flags, preview=False)


def _confirmed(stack: Stack, kind: Kind, planned: list[dict[str, Any]]) -> bool:
    """Ask; `details` shows what the preview found, property by property. No answer is a no."""
    question = f"Do you want to perform this {kind} on {stack.name}? [yes/no/details] (no) "
    while True:
        try:
            answer = input(question).strip().lower()
        except EOFError:
            print()
            return False
        if answer and "details".startswith(answer):
            _show_details(planned)
        elif "yes".startswith(answer) or "no".startswith(answer):
            return bool(answer) and "yes".startswith(answer)


def _show_details(planned: list[dict[str, Any]]) -> None:
    screen = Screen(diff=True, shortens=False)
    for event in planned:
        screen.event(event)


def _once(stack: Stack, kind: Kind, options: Options, flags: Flags, *, preview: bool) -> list[dict[str, Any]]:
    """Do it once, as a preview or in earnest; returns the events."""
    config = stack.config()
    deployment = stack.deployment()
    snapshot, checkpoint = stack.load(deployment)
    as_written = not stack.has_journal() and salt_of(deployment) in {None, checkpoint.salt}
    events: list[dict[str, Any]] = []
    screen, digest = Screen(diff=flags.diff, shortens=kind != "refresh"), Digest()
    as_digest = flags.json and preview
    with _event_log(flags.event_log) as log:
        request = UpdateRequest(
            kind=kind, preview=preview, project=stack.session.project, stack=stack.name, config=config,
            snapshot=snapshot, options=options,
            keeps=None if preview else Keeper(stack, checkpoint, snapshot, as_written=as_written),
            emit=_emitter(screen, digest, log, flags, events if preview else None),
            stack_outputs=stack.session.stack_outputs,
        )  # fmt: skip
        if not flags.json:
            print(f"{_TITLES[kind][0 if preview else 1]} ({stack.name}):", flush=True)
        try:
            result = asyncio.run(run(request))
        except (DeployError, ProviderError) as error:
            screen.finish()
            raise CommandError(str(error)) from error
        except BaseException:
            screen.finish()
            raise
    if as_digest:
        json.dump(digest.document(), sys.stdout, indent=2)
        print()
    elif not flags.json:
        screen.finish()
    _judge(result, flags, preview=preview)
    return events


def _emitter(
    screen: Screen, digest: Digest, log: TextIO | None, flags: Flags, kept: list[dict[str, Any]] | None
) -> Callable[[dict[str, Any]], None]:
    as_digest = flags.json and kept is not None

    def emit(event: dict[str, Any]) -> None:
        if kept is not None and not flags.preview_only:
            kept.append(event)
        if as_digest:
            digest.event(event)
        elif not flags.json:
            screen.event(event)
        written = {name: value for name, value in event.items() if name != "records"}
        if flags.json and not as_digest:
            print(json.dumps(written), flush=True)
        if log is not None:
            log.write(json.dumps(written) + "\n")

    return emit


class _event_log:  # noqa: N801 - used like a function
    """The file of --event-log, or nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> TextIO | None:
        if self._path is not None:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._file = os.fdopen(descriptor, "a", buffering=1)
        return self._file

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def _judge(result: UpdateResult, flags: Flags, *, preview: bool) -> None:
    """Turn what came of it into an exit code."""
    word = "preview" if preview else "update"
    if result.interrupted:
        raise CommandError(f"{word} interrupted; run it again to go on", 1)
    if result.failed:
        raise CommandError("", 1)
    if flags.expect_no_changes and _changed(result.changes):
        raise CommandError(f"no changes were expected for {word} but changes were proposed", _CHANGES_EXIT)


def _changed(changes: Mapping[str, int]) -> bool:
    return any(count for op, count in changes.items() if op not in {"same", "read", "discard"})


def refuse_state(error: StateError) -> CommandError:
    """Return what the user is told of a state that cannot be used."""
    return CommandError(str(error))
