"""Commands over SSH."""

import signal
from collections.abc import Mapping
from typing import Any

import asyncssh

from lab.engine.provider import ProviderError, Values
from lab.engine.providers.command.dial import at_once, connect
from lab.engine.providers.command.local import previous_output
from lab.engine.providers.command.output import Printed, collect

__all__ = ["run"]

_LOST = "wait: remote command exited without exit status or exit signal"


async def run(command: str, inputs: Values, former: Values) -> dict[str, str]:
    """Run a command on a host; returns its stdout and stderr. Raises `ProviderError`."""
    wanted: Mapping[str, str] = inputs.get("environment") or {}
    environment = {**wanted, **previous_output(inputs, former)}
    stdin = (inputs.get("stdin") or "").encode()
    async with connect(inputs["connection"]) as connection:
        try:
            await _refuse_lost_variables(connection, wanted)
            return await _run(connection, command, stdin, environment)
        except asyncssh.ChannelOpenError as error:
            raise ProviderError(f"ssh: rejected: {error.reason}") from error
        except (OSError, asyncssh.Error) as error:
            raise ProviderError(f"EOF: the connection to {inputs['connection']['host']} was lost") from error


async def _run(
    connection: asyncssh.SSHClientConnection, command: str, stdin: bytes, environment: Mapping[str, str]
) -> dict[str, str]:
    process: asyncssh.SSHClientProcess[bytes]
    async with at_once(connection):
        process = await connection.create_process(command, env=environment, encoding=None)
    async with process:
        if stdin:
            process.stdin.write(stdin)
        process.stdin.write_eof()
        try:
            printed = await collect(process.stdout, process.stderr)
            await process.wait_closed()
        except (OSError, asyncssh.Error):
            printed = Printed(stdout=b"", stderr=b"", together=b"")
    if process.exit_status != 0:
        raise ProviderError(printed.failure(_ended(process), command))
    return printed.outputs()


async def _refuse_lost_variables(connection: asyncssh.SSHClientConnection, wanted: Mapping[str, str]) -> None:
    """Refuse variables the host does not take (AcceptEnv); the real provider does, before it runs anything.

    asyncssh does not ask for an answer when it sends them, so a first command looks which arrived.
    """
    if not wanted:
        return
    script = "; ".join(f'[ "${{{name}+x}}" ] || echo {name}' for name in wanted)
    result = await connection.run(script, env=dict(wanted), stdin=asyncssh.DEVNULL)
    missing = str(result.stdout or "").split()
    if missing:
        raise ProviderError(
            f'could not set environment variable "{missing[0]}": ssh: setenv failed; '
            "the host's sshd must name it in AcceptEnv"
        )


def _ended(process: Any) -> str:
    if process.exit_signal is not None:
        name, _, message, _ = process.exit_signal
        number = getattr(signal, f"SIG{name}", 0)
        reason = f". Reason was: {message}" if message else ""
        return f"Process exited with status {128 + number} from signal {name}{reason}"
    if process.exit_status is None or process.exit_status < 0:
        return _LOST
    return f"Process exited with status {process.exit_status}"
