"""A real SSH server on loopback that runs commands in a real shell; asyncssh plays sshd."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncssh

PASSWORD = "correct horse"
ACCEPTED = ("GREETING", "PULUMI_COMMAND_STDOUT")
"""What the server takes of a client's environment, as AcceptEnv names it."""


@dataclass(kw_only=True)
class Sshd:
    """What a test knows of the server, and what the server saw."""

    host_key: asyncssh.SSHKey
    user_key: asyncssh.SSHKey
    root: str
    refusals: int = 0
    """How many logins to refuse before one is let in."""
    logins: int = 0
    commands: list[str] = field(default_factory=list)
    open: set[asyncssh.SSHServerConnection] = field(default_factory=set)
    port: int = 0

    @property
    def connection(self) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": float(self.port),
            "user": "root",
            "hostKey": self.host_key.export_public_key().decode(),
            "privateKey": self.user_key.export_private_key().decode(),
            "dialErrorLimit": 0.0,
        }


class _Server(asyncssh.SSHServer):
    def __init__(self, sshd: Sshd) -> None:
        self._sshd = sshd

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn
        self._sshd.logins += 1
        self._sshd.open.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._sshd.open.discard(self._conn)

    def connection_requested(self, *_target: Any) -> bool:
        return True

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002
        return True

    def _let_in(self) -> bool:
        return self._sshd.logins > self._sshd.refusals

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        return key == self._sshd.user_key.convert_to_public() and self._let_in()

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:  # noqa: ARG002
        return password == PASSWORD and self._let_in()


async def _pump(source: Any, sink: Any) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while chunk := await source.read(65536):
            sink.write(chunk)
            await sink.drain()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sink.write_eof()


@asynccontextmanager
async def sshd(root: str, **options: Any) -> AsyncIterator[Sshd]:
    """Serve until the end of the block; files are below `root`."""
    state = Sshd(
        host_key=asyncssh.generate_private_key("ssh-ed25519"),
        user_key=asyncssh.generate_private_key("ssh-ed25519"),
        root=root,
        **options,
    )

    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = process.command or ""
        state.commands.append(command)
        if command == "hang up":
            process.channel.get_connection().abort()
            return
        taken = {name: value for name, value in process.env.items() if name in ACCEPTED}
        local = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", command, env={"PATH": "/usr/bin:/bin", **taken}, cwd=root,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await asyncio.gather(
            _pump(process.stdin, local.stdin), _pump(local.stdout, process.stdout),
            _pump(local.stderr, process.stderr),
        )  # fmt: skip
        code = await local.wait()
        if code < 0:
            process.exit_with_signal("KILL")
        else:
            process.exit(code)

    listener = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=lambda: _Server(state), server_host_keys=[state.host_key],
        process_factory=handle, encoding=None,
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=root.encode()),
    )  # fmt: skip
    state.port = listener.get_port()
    async with listener:
        yield state
