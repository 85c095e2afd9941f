"""Commands on this machine."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from typing import Final

from lab.engine.provider import ProviderError, Values
from lab.engine.providers.command.output import collect, quoted

__all__ = ["previous_output", "run"]

_UNSUPPORTED: Final = ("assetPaths", "archivePaths")


async def run(command: str, inputs: Values, former: Values) -> dict[str, str]:
    """Run a command; returns its stdout and stderr without the last newline. Raises `ProviderError`."""
    for name in _UNSUPPORTED:
        if inputs.get(name):
            raise ProviderError(f"this engine's command provider has no argument {name!r}")
    interpreter = inputs.get("interpreter") or ("/bin/sh", "-c")
    starting = asyncio.ensure_future(_start([*interpreter, command], inputs, former))
    try:
        # Cancelled itself, asyncio would end the process alone, and wait for all that it has started.
        process = await asyncio.shield(starting)
        return await _finish(process, command, inputs.get("stdin") or "")
    except asyncio.CancelledError:
        with contextlib.suppress(ProviderError, OSError):
            process = await starting
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        raise


async def _start(words: Sequence[str], inputs: Values, former: Values) -> asyncio.subprocess.Process:
    """Start a process in a group of its own. Raises `ProviderError`."""
    environment = {**os.environ, **(inputs.get("environment") or {}), **previous_output(inputs, former)}
    try:
        return await asyncio.create_subprocess_exec(
            *words,
            cwd=inputs.get("dir"), env=environment, start_new_session=True,
            stdin=asyncio.subprocess.PIPE if inputs.get("stdin") else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        raise ProviderError(f"{error}: running {quoted(words[-1])}:\n") from error


async def _finish(process: asyncio.subprocess.Process, command: str, stdin: str) -> dict[str, str]:
    assert process.stdout is not None
    assert process.stderr is not None
    printed, _ = await asyncio.gather(collect(process.stdout, process.stderr), _feed(process.stdin, stdin))
    code = await process.wait()
    if code != 0:
        ended = f"exit status {code}" if code > 0 else f"signal: {signal.strsignal(-code)}".lower()
        raise ProviderError(printed.failure(ended, command))
    return printed.outputs()


async def _feed(stream: asyncio.StreamWriter | None, text: str) -> None:
    """Write a command's stdin; one that does not read it all is no error."""
    if stream is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(text.encode())
        await stream.drain()
    stream.close()


def previous_output(inputs: Values, former: Values) -> dict[str, str]:
    """Return the environment that tells a command what the run before it printed."""
    if inputs.get("addPreviousOutputInEnv") is False:
        return {}
    names = {"stdout": "PULUMI_COMMAND_STDOUT", "stderr": "PULUMI_COMMAND_STDERR"}
    return {variable: former[name] for name, variable in names.items() if former.get(name)}
