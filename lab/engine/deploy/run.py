"""Running one operation from its beginning to its summary."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from typing import Any, Final

from lab.engine.deploy.deployment import Deployment
from lab.engine.deploy.ending import delete_the_rest
from lab.engine.deploy.generator import BailError
from lab.engine.deploy.interrupted import discard_interrupted
from lab.engine.deploy.monitor import serve
from lab.engine.deploy.program import ORGANIZATION, Program
from lab.engine.deploy.refresh import refresh
from lab.engine.deploy.request import DeployError, UpdateRequest, UpdateResult

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
    deployment = Deployment(request)
    events = deployment.events
    events.prelude(request.config.values, request.config.secret_keys)
    interrupted = _Interrupted()
    failed = True
    try:
        with interrupted.watch(deployment):
            failed = await _operate(request, deployment, interrupted)
    except BailError:
        failed = True
    finally:
        await deployment.hooks.close()
        await deployment.providers.close()
    broken = deployment.step_failed or deployment.executor.after_failed.is_set()
    if (broken or deployment.generator.saw_error) and not deployment.bailed:
        events.diagnostic("error", f"{_word(request)} failed")
        failed = True
    events.summary(failed=failed)
    return UpdateResult(
        snapshot=deployment.journal.snapshot(),
        changes=events.changes,
        failed=failed,
        interrupted=interrupted.times > 0,
    )


def _word(request: UpdateRequest) -> str:
    return "preview" if request.preview else "update"


async def _operate(request: UpdateRequest, deployment: Deployment, interrupted: "_Interrupted") -> bool:
    _check_named(request, deployment)
    if request.refreshes_first:
        await refresh(deployment, request.snapshot.resources, parallel=request.options.parallel)
        await _settle_pending(request, deployment)
        if request.kind == "refresh" or deployment.step_failed:
            return deployment.step_failed
    elif not request.preview:
        _warn_of_pending(request, deployment)
        await discard_interrupted(deployment)
    if request.kind == "destroy" and not request.options.run_program:
        _refuse_delete_hooks(request, deployment)
        await delete_the_rest(deployment)
        return deployment.step_failed
    return await _run_program(request, deployment, interrupted)


def _check_named(request: UpdateRequest, deployment: Deployment) -> None:
    """Refuse targets that are nowhere. Raises `DeployError`, or `BailError` when it has been said."""
    urns = [record.urn for record in request.snapshot.resources]
    targets = deployment.generator.targets
    if request.kind != "update":
        for urn in targets.unknown_in_state(urns):
            raise DeployError(f"no resource named '{urn}' found")
    elif request.refreshes_first:
        _refuse_unknown(deployment, targets.unknown_in_state(urns))
    _refuse_unknown(deployment, targets.unknown(urns, replaces=True))


def _refuse_unknown(deployment: Deployment, unknown: list[str]) -> None:
    for urn in unknown:
        hint = "" if "$" in urn else " Did you forget to escape $ in your shell?"
        deployment.events.diagnostic("error", f"Target '{urn}' could not be found in the stack.{hint}")
    if unknown:
        deployment.bailed = True
        raise BailError


async def _run_program(request: UpdateRequest, deployment: Deployment, interrupted: "_Interrupted") -> bool:
    info: dict[str, Any] = {
        "project": request.project.name, "stack": request.stack, "organization": ORGANIZATION,
        "config": dict(request.config.values), "configSecretKeys": sorted(request.config.secret_keys),
        "dryRun": request.preview, "parallel": request.options.parallel,
    }  # fmt: skip
    served = await serve(deployment, info)
    program = Program(request, deployment, served.address)
    try:
        await program.start()
        interrupted.program = program
        ending = asyncio.create_task(program.wait())
        await _first(deployment.program_done.wait(), deployment.failed.wait(), interrupted.cut.wait())
        if deployment.failed.is_set():
            await _until_idle(deployment, interrupted)
            await deployment.finish_outputs(failed=True)
            return True
        code = ending.result() if ending.done() else None
        failed = False if code is None else program.explain(code)
        if not failed:
            failed = await _finish(request, deployment)
        await deployment.finish_outputs(
            failed=failed or deployment.step_failed or deployment.generator.saw_error
        )
        served.release()
        if code is None:
            failed = program.explain(await ending) or failed
        return failed or deployment.step_failed
    finally:
        await program.kill()
        await served.close()


async def _finish(request: UpdateRequest, deployment: Deployment) -> bool:
    """Once all has been registered: delete (or read again) what has not been. Returns whether it failed."""
    generator = deployment.generator
    before = [record.urn for record in request.snapshot.resources]
    unknown = generator.targets.unknown([*before, *generator.sets.seen])
    if request.mode == "refresh":
        left = [
            record
            for record in deployment.journal.base()
            if not generator.sets.operated(generator.aliases.current(record.urn))
        ]
        await refresh(deployment, left, parallel=request.options.parallel)
        await _settle_pending(request, deployment)
    else:
        with contextlib.suppress(BailError):
            await delete_the_rest(deployment)
    try:
        _refuse_unknown(deployment, unknown)
    except BailError:
        return True
    return False


async def _first(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()


async def _until_idle(deployment: Deployment, interrupted: "_Interrupted") -> None:
    """Let steps that have begun come to their end, unless the user insists."""
    await _first(deployment.executor.idle(), interrupted.cut.wait())


def _warn_of_pending(request: UpdateRequest, deployment: Deployment) -> None:
    left = request.snapshot.pending_operations
    if left:
        lines = "\n".join(f"  * {item.resource.urn}, interrupted while {item.type}" for item in left)
        deployment.events.diagnostic("warning", _PENDING.format(count=len(left), list=lines))


async def _settle_pending(request: UpdateRequest, deployment: Deployment) -> None:
    """A refresh has looked: only creates stay unknown, until the user says they are settled."""
    if not request.preview:
        deployment.journal.settle_left(creates=request.options.clear_pending_creates)
        await deployment.journal.save()


def _refuse_delete_hooks(request: UpdateRequest, deployment: Deployment) -> None:
    found = False
    for record in request.snapshot.resources:
        hooks = [
            *record.resource_hooks.get("BeforeDelete", []),
            *record.resource_hooks.get("AfterDelete", []),
        ]
        if hooks:
            found = True
            deployment.events.diagnostic(
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
    def watch(self, deployment: Deployment) -> Iterator[None]:
        """Handle SIGINT and SIGTERM while the operation runs."""
        loop = asyncio.get_running_loop()

        def handle() -> None:
            self.times += 1
            if self.times == 1:
                deployment.events.diagnostic(
                    "warning",
                    "interrupted: no new step begins; those under way come to their end (once more: now)",
                )
                deployment.stop()
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
