"""Commands on this machine."""

import asyncio
import os
import signal
from typing import Any, Final

from lab.engine.provider import ProviderError, Values

__all__ = ["run"]

_UNSUPPORTED: Final = ("assetPaths", "archivePaths")


async def run(command: str, inputs: Values, former: Values) -> dict[str, str]:
    """Run a command; returns its stdout and stderr without the last newline. Raises `ProviderError`."""
    for name in _UNSUPPORTED:
        if inputs.get(name):
            raise ProviderError(f"this engine's command provider does not know {name!r}")
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
        return await _finish(process, command, stdin)
    except asyncio.CancelledError:
        os.killpg(process.pid, signal.SIGKILL)
        raise


async def _finish(process: asyncio.subprocess.Process, command: str, stdin: str | None) -> dict[str, str]:
    together: list[bytes] = []

    async def collect(stream: Any) -> bytes:
        own = []
        while chunk := await stream.read(65536):
            own.append(chunk)
            together.append(chunk)
        return b"".join(own)

    async def feed() -> None:
        if process.stdin is not None:
            try:
                process.stdin.write((stdin or "").encode())
                await process.stdin.drain()
            except (BrokenPipeError, ConnectionResetError):
                pass
            process.stdin.close()

    out, err, _ = await asyncio.gather(collect(process.stdout), collect(process.stderr), feed())
    code = await process.wait()
    if code != 0:
        ended = f"exit status {code}" if code > 0 else f"signal: {signal.strsignal(-code)}".lower()
        text = b"".join(together).decode(errors="replace")
        raise ProviderError(f"{ended}: running {quoted(command)}:\n{text}")
    return {"stdout": trimmed(out), "stderr": trimmed(err)}


def previous_output(inputs: Values, former: Values) -> dict[str, str]:
    """Return the environment that tells a command what the run before it printed."""
    if inputs.get("addPreviousOutputInEnv") is False:
        return {}
    names = {"stdout": "PULUMI_COMMAND_STDOUT", "stderr": "PULUMI_COMMAND_STDERR"}
    return {variable: former[name] for name, variable in names.items() if former.get(name)}


def quoted(command: str) -> str:
    """Return a command as Go's %q prints it."""
    text = command.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{text}"'


def trimmed(output: bytes) -> str:
    """Return output as text, less one newline at its end."""
    return output.decode(errors="replace").removesuffix("\n")
