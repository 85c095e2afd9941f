"""Commands on this machine."""

import asyncio
import contextlib
import os
import signal
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
    interpreter = list(inputs.get("interpreter") or ("/bin/sh", "-c"))
    environment = {**os.environ, **(inputs.get("environment") or {}), **previous_output(inputs, former)}
    stdin = inputs.get("stdin")
    try:
        process = await asyncio.create_subprocess_exec(
            *interpreter, command,
            cwd=inputs.get("dir"), env=environment, start_new_session=True,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        raise ProviderError(f"{error}: running {quoted(command)}:\n") from error
    try:
        return await _finish(process, command, stdin or "")
    except asyncio.CancelledError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise


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
