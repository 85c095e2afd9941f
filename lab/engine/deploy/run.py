"""Running one operation from its beginning to its summary."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any, Final

from lab.engine.deploy.deployment import Deployment
from lab.engine.deploy.ending import delete_the_rest
from lab.engine.deploy.generator import BailError
from lab.engine.deploy.interrupted import discard_interrupted
from lab.engine.deploy.monitor import serve
from lab.engine.deploy.operation import Operation
from lab.engine.deploy.program import EXIT_SAID, Program
from lab.engine.deploy.request import DeployError, UpdateRequest, UpdateResult
from lab.engine.providers import load_ahead
from lab.engine.state.model import ResourceState
from lab.stacks import ORGANIZATION

__all__ = ["run"]

_PENDING: Final = """\
Attempting to deploy or update resources with {count} pending operations from previous deployment.
{list}
These resources are in an unknown state because the Pulumi CLI was interrupted while waiting for changes \
to these resources to complete. You should confirm whether or not the operations listed completed \
successfully by checking the state of the appropriate provider. For example, if you are using AWS, you can \
confirm using the AWS Console.

Once you have confirmed the status of the interrupted operations, you can repair your stack using `pulumi \
refresh` which will refresh the state from the provider you are using and clear the pending operations if \
there are any.

Note that `pulumi refresh` will need to be run interactively to clear pending CREATE operations.
"""


async def run(request: UpdateRequest) -> UpdateResult:
    """Do what is asked; the result tells whether it went well. Raises `DeployError` before any step."""
    operation = Operation.of(request)
    course, events = operation.course, operation.events
    events.prelude(request.config.values, request.config.secret_keys)
    interrupted = _Interrupted()
    failed = True
    try:
        with interrupted.watch(operation):
            failed = await _operate(operation, interrupted)
    except BailError:
        failed = True
    finally:
        await operation.close()
        operation.journal.finish()
    if (course.failed or operation.generator.saw_error) and not course.refused:
        events.diagnostic("error", f"{_word(request)} failed")
        failed = True
    events.summary(failed=failed)
    return UpdateResult(
        snapshot=operation.journal.snapshot(),
        changes=events.changes,
        failed=failed,
        interrupted=interrupted.times > 0,
    )


def _word(request: UpdateRequest) -> str:
    return "preview" if request.preview else "update"


async def _operate(operation: Operation, interrupted: "_Interrupted") -> bool:
    request, course = operation.request, operation.course
    _check_named(operation)
    if request.refreshes_first:
        await _refresh(operation, request.snapshot.resources, interrupted)
        if request.kind == "refresh" or course.step_failed or interrupted.times:
            return course.step_failed
    elif not request.preview:
        _warn_of_pending(operation)
    if not request.preview:
        await discard_interrupted(operation)
    if request.kind == "destroy" and not request.options.run_program:
        _refuse_delete_hooks(operation)
        await _unless_cut(delete_the_rest(operation), interrupted)
        return course.step_failed
    return await _run_program(operation, interrupted)


async def _unless_cut(work: Coroutine[Any, Any, None], interrupted: "_Interrupted") -> None:
    """Do it, or leave it at once when the user insists: what is under way stays pending in the state."""
    task = asyncio.create_task(work)
    await _first(task, interrupted.cut.wait())
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _refresh(
    operation: Operation, records: Iterable[ResourceState], interrupted: "_Interrupted"
) -> None:
    """Read every included resource again and record what it is; what is gone leaves the state.

    After an interrupt no further one is read, and what an earlier run was creating stays unknown.
    """
    slots = asyncio.Semaphore(max(1, operation.request.options.parallel))

    async def one(record: ResourceState) -> None:
        async with slots:
            if not interrupted.times:
                await operation.refresher.take(record)

    async def everyone() -> None:
        await asyncio.gather(*(one(record) for record in included))

    included = [record for record in records if operation.generator.targets.includes(record)]
    await _unless_cut(everyone(), interrupted)
    operation.journal.mend()
    request = operation.request
    if request.options.clear_pending_creates and not request.preview and not interrupted.times:
        operation.journal.forget_left()
    await operation.journal.save()


def _check_named(operation: Operation) -> None:
    """Refuse targets that are nowhere. Raises `DeployError`, or `BailError` when it has been said."""
    request, targets = operation.request, operation.generator.targets
    urns = [record.urn for record in request.snapshot.resources]
    if request.kind != "update":
        for urn in targets.unknown_in_state(urns):
            raise DeployError(f"no resource named '{urn}' found")
    elif request.refreshes_first:
        _refuse_unknown(operation, targets.unknown_in_state(urns))
    _refuse_unknown(operation, targets.unknown(urns, replaces=True))


def _refuse_unknown(operation: Operation, unknown: list[str]) -> None:
    for urn in unknown:
        hint = "" if "$" in urn else " Did you forget to escape $ in your shell?"
        operation.events.diagnostic("error", f"Target '{urn}' could not be found in the stack.{hint}")
    if unknown:
        operation.course.refused = True
        raise BailError


async def _run_program(operation: Operation, interrupted: "_Interrupted") -> bool:
    request, course = operation.request, operation.course
    info: dict[str, Any] = {
        "project": request.project.name, "stack": request.stack, "organization": ORGANIZATION,
        "config": dict(request.config.values), "configSecretKeys": sorted(request.config.secret_keys),
        "dryRun": request.preview, "parallel": request.options.parallel,
    }  # fmt: skip
    deployment = Deployment(operation)

    def say(severity: str, line: str) -> None:
        operation.events.diagnostic(severity, line, deployment.stack_urn)

    served = await serve(operation, deployment, info)
    program = Program(request, served.address, say)
    try:
        await program.start()
        load_ahead((record.type for record in request.snapshot.resources), works=not request.preview)
        interrupted.program = program
        ending = asyncio.create_task(program.wait())
        await _first(
            asyncio.shield(ending), course.program_done.wait(), course.until_stopped(), interrupted.cut.wait()
        )
        if course.stopped:
            await _until_idle(operation, interrupted)
            await deployment.finish_outputs(failed=True)
            return True
        code = ending.result() if ending.done() else None
        failed = False if code is None else _explain(operation, code)
        if not failed:
            failed = await _finish(operation, interrupted)
        await deployment.finish_outputs(failed=failed or course.step_failed or operation.generator.saw_error)
        served.release()
        if code is None:
            failed = _explain(operation, await ending) or failed
        return failed or course.step_failed
    finally:
        await program.kill()
        await served.close()


def _explain(operation: Operation, code: int) -> bool:
    """Say why the program failed, if it has not; returns whether it failed."""
    if code not in {0, EXIT_SAID}:
        operation.events.diagnostic(
            "error", f"an unhandled error occurred: program exited with non-zero exit code: {code}"
        )
    return code != 0


async def _finish(operation: Operation, interrupted: "_Interrupted") -> bool:
    """Once all has been registered: delete (or read again) what has not been. Returns whether it failed."""
    request, generator = operation.request, operation.generator
    before = [record.urn for record in request.snapshot.resources]
    unknown = generator.targets.unknown([*before, *generator.sets.seen])
    if request.mode == "refresh":
        left = [
            record
            for record in operation.journal.base()
            if not generator.sets.operated(generator.aliases.current(record.urn))
        ]
        await _refresh(operation, left, interrupted)
    else:
        with contextlib.suppress(BailError):
            await _unless_cut(delete_the_rest(operation), interrupted)
    try:
        _refuse_unknown(operation, unknown)
    except BailError:
        return True
    return False


async def _first(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()


async def _until_idle(operation: Operation, interrupted: "_Interrupted") -> None:
    """Let steps that have begun come to their end, unless the user insists."""
    await _first(operation.executor.idle(), interrupted.cut.wait())


def _warn_of_pending(operation: Operation) -> None:
    left = operation.request.snapshot.pending_operations
    if left:
        lines = "\n".join(f"  * {item.resource.urn}, interrupted while {item.type}" for item in left)
        operation.events.diagnostic("warning", _PENDING.format(count=len(left), list=lines))


def _refuse_delete_hooks(operation: Operation) -> None:
    found = False
    for record in operation.request.snapshot.resources:
        hooks = [
            *record.resource_hooks.get("BeforeDelete", []),
            *record.resource_hooks.get("AfterDelete", []),
        ]
        if hooks:
            found = True
            operation.events.diagnostic(
                "error",
                "Resource has delete hooks registered, but the program is not running. "
                f"Hooks: {', '.join(hooks)}",
                record.urn,
            )
    if found:
        raise DeployError("You must run with the `--run-program` flag to use delete hooks during destroy.")


class _Interrupted:
    """Ctrl-C: once to begin nothing more, twice to leave at once what is under way."""

    def __init__(self) -> None:
        self.times = 0
        self.cut = asyncio.Event()
        self.program: Program | None = None

    @contextlib.contextmanager
    def watch(self, operation: Operation) -> Iterator[None]:
        """Handle SIGINT and SIGTERM while the operation runs."""
        loop = asyncio.get_running_loop()

        def handle() -> None:
            self.times += 1
            if self.times == 1:
                operation.events.diagnostic(
                    "warning",
                    "interrupted: no new step begins; those under way come to their end (once more: now)",
                )
                operation.course.stop()
                if self.program is not None:
                    self.program.interrupt()
            else:
                self.cut.set()

        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, handle)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)
