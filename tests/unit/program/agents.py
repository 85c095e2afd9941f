"""Agents for tests: a real SSH server on the loopback for each node, which says what a test wants."""

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import asyncssh

from mesh.outputs import NodeOutputs
from mesh.program.settling import Dialled, Put

KEY: Final = asyncssh.generate_private_key("ssh-ed25519")
PRIVATE: Final = KEY.export_private_key().decode()
PUBLIC: Final = KEY.export_public_key().decode()


def document(name: str) -> str:
    return f"files of {name}"


def report(name: str, **more: Any) -> dict[str, Any]:
    """What a node says that has its files and rotates nothing."""
    digest = hashlib.sha256(document(name).encode()).hexdigest()
    idle: dict[str, Any] = {
        "agent": "ab",
        "current": digest,
        "state": "idle",
        "trial": None,
        "peers": {},
        "differences": [],
    }
    return {**idle, "rotation": None, **more}


def rotating(name: str, phase: str = "both", **pairs: str) -> dict[str, Any]:
    """The same of one that rotates: for each peer what the node waits for; empty: nothing."""
    told = {
        peer.replace("_", "-"): {"route": "old" if waits else "next", "waits": waits}
        for peer, waits in pairs.items()
    }
    return report(name, rotation={"phase": phase, "since": 1764259200, "pairs": told})


Says = Callable[[int], dict[str, Any] | str]
"""What an agent answers to `status`, by how often it was asked before: a report, or text."""


@dataclass
class Agent:
    """One node's agent; `settled` is what it was told by `settle`."""

    says: Says
    asked: int = 0
    settled: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, process: "asyncssh.SSHServerProcess[str]") -> None:
        command = str(process.command)
        if "wgmesh.pyz status" in command:
            said = self.says(self.asked)
            self.asked += 1
            process.stdout.write(said if isinstance(said, str) else json.dumps(said))
            process.exit(0 if isinstance(said, dict) else 1)
        elif "wgmesh.pyz settle" in command:
            self.settled.append(json.loads(await process.stdin.read()))
            process.stdout.write("SETTLED\n")
            process.exit(0)
        else:
            process.exit(2)


@contextlib.asynccontextmanager
async def nodes(agents: Mapping[str, Agent]) -> AsyncIterator[dict[str, Dialled]]:
    """Serve these agents; yields how they are dialled."""
    async with contextlib.AsyncExitStack() as stack:
        found = {}
        for name, agent in agents.items():
            server = await asyncssh.listen(
                "127.0.0.1",
                0,
                server_host_keys=[KEY],
                authorized_client_keys=asyncssh.import_authorized_keys(PUBLIC),
                process_factory=agent,
            )
            await stack.enter_async_context(server)
            found[name] = dialled(name, server.get_port())
        yield found


def dialled(name: str, port: int, private: str = PRIVATE) -> Dialled:
    outputs = NodeOutputs(
        name=name,
        address="10.10.0.1",
        public_ip="127.0.0.1",
        public_key="",
        host_key=PUBLIC,
        enabled=True,
        ssh_port=port,
    )
    return Dialled(node=outputs, ssh_private_key=private)


def put(*names: str) -> dict[str, Put]:
    """What a run has put on these nodes."""
    return {name: Put(document=document(name), public_key=f"key of {name}") for name in names}


class Way:
    """What a run dials a node by."""

    address, port, host_key, private_key = "192.0.2.1", 22.0, "ssh-ed25519 A", "private"


class Made:
    """A node and its commands, as a run has them."""

    def __init__(self) -> None:
        self.public_key = "key"
        self.apply = self
        self.stdin = "files"
        self.stdout: str | None = "CONFIRMED x"
