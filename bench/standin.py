"""Hosts that are not there: an SSH server that shows each host's keys and speaks the agent's words.

It listens on every address of its network namespace and takes the address that was dialled for the host
(docs/protocol.md has the words; mesh/program/commands.py the commands).
"""

import asyncio
import base64
import hashlib
import json
import secrets
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncssh

from lab.cloud.store import Store
from mesh.remote import agent_named, read_secret_input

__all__ = ["Standin"]

_PORT: Final = 22
_RECONNECT: Final = 75
_REFUSED: Final = 65


@dataclass(kw_only=True)
class _Host:
    """What a host has of its own; `server` is the id of its server in the cloud."""

    server: int
    root: Path
    clients: list[asyncssh.SSHKey]
    keys: list[asyncssh.SSHKey]
    agent: str = ""
    committed: str = ""
    trial: tuple[str, str, float] = ("", "", 0.0)
    """Digest, transaction, and when it went live (monotonic)."""


@dataclass(kw_only=True)
class Standin:
    """All hosts of the cloud whose file is `cloud`; their files lie below `root`."""

    cloud: Path
    root: Path
    connections: int = 0
    """How many logins there were."""
    _hosts: dict[str, _Host] = field(default_factory=dict)

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled; `ready` is called once connections are taken."""
        listener = socket.create_server(("0.0.0.0", _PORT), backlog=512)  # noqa: S104 - in its own namespace
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[None]] = set()
        ready()
        while True:
            connection, _ = await loop.sock_accept(listener)
            task = asyncio.create_task(self._meet(connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _meet(self, connection: socket.socket) -> None:
        host = self._host(connection.getsockname()[0])
        if host is None:
            connection.close()
            return
        began = time.monotonic()

        async def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
            text, code = _answer(host, process.command or "", await process.stdin.read(), began)
            process.stdout.write(f"{text}\n".encode())
            process.exit(code)

        try:
            server = await asyncssh.run_server(
                connection, server_factory=lambda: _Door(host), server_host_keys=host.keys, encoding=None,
                process_factory=answer,
                sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(host.root).encode()),
            )  # fmt: skip
        except (OSError, asyncssh.Error):
            return
        self.connections += 1
        await server.wait_closed()

    def _host(self, address: str) -> _Host | None:
        store = Store(self.cloud)
        owner = next((ip["assignee_id"] for ip in store.all("primary_ips") if ip["ip"] == address), None)
        server: Any = store.find("servers", owner)
        if server is None:
            return None
        if address not in self._hosts or self._hosts[address].server != server["id"]:
            user_data = base64.b64decode(server["user_data"]).decode().partition("\n")[2]
            root = self.root / address
            shutil.rmtree(root, ignore_errors=True)  # of a server that had this address before
            root.mkdir(parents=True)
            self._hosts[address] = _Host(
                server=server["id"],
                root=root,
                clients=[asyncssh.import_public_key(text) for text in server["ssh_keys"]],
                keys=[asyncssh.import_private_key(json.loads(user_data)["ssh_keys"]["ecdsa_private"])],
            )
        return self._hosts[address]


class _Door(asyncssh.SSHServer):
    """Lets in who has one of the keys that cloud-init brought."""

    def __init__(self, host: _Host) -> None:
        self._host = host

    def begin_auth(self, username: str) -> bool:
        return username == "root"

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        return key in self._host.clients


def _answer(host: _Host, command: str, payload: bytes, began: float) -> tuple[str, int]:
    """Return what is printed, and the exit code."""
    if agent := agent_named(command):
        return _keys(host, agent, read_secret_input(payload.decode()))
    if command.endswith("/wgmesh.pyz apply"):
        return _apply(host, hashlib.sha256(payload).hexdigest(), began)
    if "/wgmesh.pyz check" in command:  # asked by `mesh check`, with words around it
        return _check(host), 0
    return "USAGE", 64


def _check(host: _Host) -> str:
    """Report what the lines of the file `drift` say: item, is, should be, with tabs between."""
    drift = host.root / "drift"
    lines = drift.read_text().splitlines() if drift.exists() else []
    names = ("item", "live", "wanted")
    differences = [dict(zip(names, line.split("\t"), strict=True)) for line in lines]
    report: dict[str, Any] = {"agent": host.agent, "current": host.committed, "state": "idle", "trial": None}
    return json.dumps({**report, "peers": {}, "differences": differences})


def _keys(host: _Host, wanted: str, bundle: dict[str, Any]) -> tuple[str, int]:
    permanent = asyncssh.import_private_key(bundle["host_key"])
    host.keys = [*(key for key in host.keys if key.get_algorithm() != "ssh-ed25519"), permanent]
    incoming = host.root / "usr/local/lib/wgmesh/incoming.pyz"
    if incoming.exists():
        host.agent = hashlib.sha256(incoming.read_bytes()).hexdigest()
        incoming.unlink()
    if host.agent != wanted:
        return f"REFUSED the file has {host.agent}", _REFUSED
    return f"STORED {len(bundle['keys'])} keys", 0


def _apply(host: _Host, digest: str, began: float) -> tuple[str, int]:
    if host.committed == digest:
        return f"UNCHANGED {digest}", 0
    host.keys = [key for key in host.keys if key.get_algorithm() == "ssh-ed25519"]
    pending, transaction, live = host.trial
    if pending != digest:
        transaction, live = secrets.token_hex(8), time.monotonic()
        host.trial = (digest, transaction, live)
    if began <= live:
        return f"RECONNECT {transaction}", _RECONNECT
    host.committed, host.trial = digest, ("", "", 0.0)
    return f"CONFIRMED {digest}", 0
