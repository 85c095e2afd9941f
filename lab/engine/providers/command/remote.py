"""Commands over SSH, on asyncssh."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import asyncssh

from lab.engine.provider import ProviderError, Values
from lab.engine.providers.command.local import previous_output, quoted, trimmed

__all__ = ["connect", "run", "with_defaults"]

_DEFAULTS: Final = {"port": 22, "user": "root", "dialErrorLimit": 10, "perDialTimeout": 15}
# pulumi/pulumi, sdk/go/common/util/retry: waits between dials, in seconds.
_FIRST_WAIT: Final = 0.1
_GROWTH: Final = 1.5
_LONGEST_WAIT: Final = 5.0
_KNOWN: Final = {
    *_DEFAULTS,
    *("host", "hostKey", "privateKey", "privateKeyPassword", "password", "agentSocketPath", "proxy"),
}


def with_defaults(connection: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what a connection leaves open. Raises `ProviderError` for a field it does not know."""
    unknown = set(connection) - _KNOWN
    if unknown:
        raise ProviderError(f"connection: unknown field {', '.join(sorted(unknown))}")
    filled = {**_DEFAULTS, **connection}
    if isinstance(connection.get("proxy"), Mapping):
        filled["proxy"] = with_defaults(connection["proxy"])
    return filled


async def run(command: str, inputs: Values, former: Values) -> dict[str, str]:
    """Run a command on a host; returns its stdout and stderr. Raises `ProviderError`."""
    environment = {**(inputs.get("environment") or {}), **previous_output(inputs, former)}
    stdin = (inputs.get("stdin") or "").encode()
    async with connect(inputs["connection"]) as connection:
        try:
            result = await connection.run(command, input=stdin, env=environment, encoding=None)
        except (OSError, asyncssh.Error) as error:
            raise ProviderError(f"{_reason(error)}: running {quoted(command)}:\n") from error
    out, err = _bytes(result.stdout), _bytes(result.stderr)
    if result.exit_status != 0:
        raise ProviderError(
            f"{_ended(result)}: running {quoted(command)}:\n{(out + err).decode(errors='replace')}"
        )
    return {"stdout": trimmed(out), "stderr": trimmed(err)}


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b""


def _ended(result: asyncssh.SSHCompletedProcess) -> str:
    if result.exit_signal is not None:
        return f"Process exited with status 128 from signal {result.exit_signal[0]}"
    if result.exit_status is None or result.exit_status < 0:
        return "wait: remote command exited without exit status or exit signal"
    return f"Process exited with status {result.exit_status}"


@asynccontextmanager
async def connect(settings: Mapping[str, Any]) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Open an SSH connection, through its proxy where it has one; closed at the end. Raises `ProviderError`."""
    async with AsyncExitStack() as stack:
        tunnel: asyncssh.SSHClientConnection | None = None
        if settings.get("proxy"):
            proxy = with_defaults(settings["proxy"])
            tunnel = await stack.enter_async_context(await _dial_with_retry(proxy, None))
        yield await stack.enter_async_context(await _dial_with_retry(with_defaults(settings), tunnel))


async def _dial_with_retry(
    settings: Mapping[str, Any], tunnel: asyncssh.SSHClientConnection | None
) -> asyncssh.SSHClientConnection:
    limit = int(settings["dialErrorLimit"])
    wait, failures = _FIRST_WAIT, 0
    while True:
        try:
            return await _dial(settings, tunnel)
        except (OSError, asyncssh.Error) as error:
            failures += 1
            if 0 <= limit <= failures:
                where = f"{settings['host']}:{int(settings['port'])}"
                raise ProviderError(
                    f"after {failures} failed attempts: dial {where}: {_reason(error)}"
                ) from error
        await asyncio.sleep(wait)
        wait = min(wait * _GROWTH, _LONGEST_WAIT)


async def _dial(
    settings: Mapping[str, Any], tunnel: asyncssh.SSHClientConnection | None
) -> asyncssh.SSHClientConnection:
    timeout = settings["perDialTimeout"] or None
    options: dict[str, Any] = {
        "username": settings["user"], "client_keys": _client_keys(settings), "password": settings.get("password"),
        "agent_path": settings.get("agentSocketPath") or os.environ.get("SSH_AUTH_SOCK"),
        "config": None, "login_timeout": timeout or 0, "connect_timeout": timeout, **_host_key(settings),
    }  # fmt: skip
    return await asyncssh.connect(settings["host"], int(settings["port"]), tunnel=tunnel or (), **options)


def _client_keys(settings: Mapping[str, Any]) -> list[asyncssh.SSHKey]:
    text = settings.get("privateKey")
    if text is None:
        return []
    try:
        return [asyncssh.import_private_key(text, settings.get("privateKeyPassword"))]
    except asyncssh.KeyImportError:
        raise ProviderError("connection.privateKey is not a private key this engine can read") from None


def _host_key(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Pin the host key; without one any host is believed, as the real provider does."""
    text = settings.get("hostKey")
    if text is None:
        return {"known_hosts": None}
    try:
        key = asyncssh.import_public_key(text)
    except asyncssh.KeyImportError:
        raise ProviderError("failed to parse host key: it is not a line of authorized_keys") from None
    return {"known_hosts": ([key], [], []), "server_host_key_algs": [key.get_algorithm()]}


def _reason(error: Exception) -> str:
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return "ssh: handshake failed: ssh: host key mismatch"
    if isinstance(error, asyncssh.PermissionDenied):
        return "ssh: handshake failed: ssh: unable to authenticate, no supported methods remain"
    if isinstance(error, TimeoutError | socket.timeout):
        return "i/o timeout"
    if isinstance(error, ConnectionRefusedError):
        return "connect: connection refused"
    return str(error) or type(error).__name__
