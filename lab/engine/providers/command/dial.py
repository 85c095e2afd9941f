"""SSH connections on asyncssh, dialled as pulumi-command dials: retries, words of its errors."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from socket import gaierror
from typing import Any, Final

import asyncssh

from lab.engine.provider import ProviderError
from lab.engine.providers.command.inputs import with_defaults

__all__ = ["at_once", "connect"]

# pulumi/pulumi, sdk/go/common/util/retry: waits between dials, in seconds.
_FIRST_WAIT: Final = 0.1
_GROWTH: Final = 1.5
_LONGEST_WAIT: Final = 5.0
# Seconds of silence until a host is asked for a sign of life; three without one end the connection. The real
# provider leaves that to TCP's keepalive, which Go sets to 15 s and 9 tries (net.KeepAliveConfig).
_KEEPALIVE: Final = 15.0
# Seconds after which the kernel is told again to acknowledge at once: a small part of the 40 ms it waits.
_TOLD_AGAIN: Final = 0.002


@asynccontextmanager
async def connect(connection: Mapping[str, Any]) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Open an SSH connection, through its proxy where it has one; it is closed at the end.

    Raises `ProviderError`.
    """
    settings = with_defaults(connection)
    async with AsyncExitStack() as stack:
        if not settings.get("proxy"):
            yield await stack.enter_async_context(await _dial(settings, None))
            return
        try:
            tunnel = await stack.enter_async_context(await _dial(settings["proxy"], None))
            found = await _dial(settings, tunnel)
        except ProviderError as error:
            raise ProviderError(f"proxy: {error}") from error
        yield await stack.enter_async_context(found)


def _joined(host: str, port: int) -> str:
    """Return host and port as Go's net.JoinHostPort writes them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@asynccontextmanager
async def at_once(connection: asyncssh.SSHClientConnection) -> AsyncIterator[None]:
    """Have every packet acknowledged at once until the end of the block, in which a first channel opens.

    sshd holds its answer back until what it sent before is acknowledged (Nagle), and the kernel holds that
    back for 40 ms. The kernel forgets what it is told here (tcp(7), TCP_QUICKACK), so it is told again.
    """
    own: Any = connection.get_extra_info("socket")

    async def tell() -> None:
        with suppress(OSError):  # a connection that is lost is told of elsewhere
            while True:
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                await asyncio.sleep(_TOLD_AGAIN)

    telling = asyncio.create_task(tell()) if hasattr(socket, "TCP_QUICKACK") and own is not None else None
    try:
        yield
    finally:
        if telling is not None:
            telling.cancel()


async def _dial(
    settings: Mapping[str, Any], tunnel: asyncssh.SSHClientConnection | None
) -> asyncssh.SSHClientConnection:
    where = _joined(settings["host"], int(settings["port"]))
    timeout = settings["perDialTimeout"] or None
    host_key = _host_key(settings)
    own = _own_keys(settings)
    async with _agent_keys(settings) as agent:
        # a method is tried once: with a key of its own the agent's are not asked for
        options: dict[str, Any] = {
            "username": settings["user"], "password": settings.get("password"),
            "client_keys": own or agent or None, "agent_path": None,
            "config": None, "login_timeout": timeout or 0, "connect_timeout": timeout, **host_key,
            "keepalive_interval": _KEEPALIVE,
        }  # fmt: skip

        async def once() -> asyncssh.SSHClientConnection:
            return await asyncssh.connect(
                settings["host"], int(settings["port"]), tunnel=tunnel or (), **options
            )

        return await _retry(once, int(settings["dialErrorLimit"]), lambda error: _reason(error, where))


async def _retry(
    dial: Callable[[], Awaitable[asyncssh.SSHClientConnection]],
    limit: int,
    reason: Callable[[Exception], str],
) -> asyncssh.SSHClientConnection:
    """Dial until it works; `limit` errors are allowed, -1 is any number. Raises `ProviderError`.

    A task that is cancelled in the moment of a refusal may see the refusal alone: asyncio's `wait_for` up to
    Python 3.11 hands it on instead of the cancellation.
    """
    task = asyncio.current_task()
    wait, failures = _FIRST_WAIT, 0
    while True:
        try:
            return await dial()
        except (OSError, asyncssh.Error) as error:
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from error
            failures += 1
            if 0 <= limit < failures:
                raise ProviderError(f"after {limit} failed attempts: {reason(error)}") from error
        await asyncio.sleep(wait)
        wait = min(wait * _GROWTH, _LONGEST_WAIT)


def _own_keys(settings: Mapping[str, Any]) -> list[asyncssh.SSHKeyPair]:
    text = settings.get("privateKey")
    if text is None:
        return []
    try:
        key = asyncssh.import_private_key(text, settings.get("privateKeyPassword"))
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        with_password = " with connection.privateKeyPassword" if settings.get("privateKeyPassword") else ""
        raise ProviderError(f"connection.privateKey cannot be read{with_password}: {error}") from None
    return list(asyncssh.load_keypairs([key]))


@asynccontextmanager
async def _agent_keys(settings: Mapping[str, Any]) -> AsyncIterator[list[asyncssh.SSHKeyPair]]:
    """Return the keys of the SSH agent; one that is named but does not answer is an error."""
    path = settings.get("agentSocketPath") or os.environ.get("SSH_AUTH_SOCK")
    if not path:
        yield []
        return
    try:
        agent = await asyncssh.connect_agent(path)
    except OSError as error:
        raise ProviderError(f"dial unix {path}: connect: {_words(error)}") from error
    async with agent:
        yield list(await agent.get_keys())


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


def _reason(error: Exception, where: str) -> str:
    """Return a failed dial in Go's words, as users of the real provider know them."""
    if isinstance(error, asyncssh.Error | ConnectionResetError):
        return f"ssh: handshake failed: {_handshake(error)}"
    if isinstance(error, TimeoutError):
        return f"dial tcp {where}: i/o timeout"
    if isinstance(error, gaierror):
        return f"dial tcp: lookup {where.rsplit(':', 1)[0]}: no such host"
    return f"dial tcp {where}: connect: {_words(error)}"


def _handshake(error: Exception) -> str:
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return "ssh: host key mismatch"
    if isinstance(error, asyncssh.PermissionDenied):
        return "ssh: unable to authenticate, no supported methods remain"
    if isinstance(error, asyncssh.ConnectionLost | ConnectionResetError):
        return "EOF"
    return str(error)


def _words(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else str(error) or type(error).__name__
