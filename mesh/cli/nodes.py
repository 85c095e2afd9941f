"""The agent of a node, called over SSH: the key pinned, one connection for each call."""

import asyncio
from dataclasses import dataclass
from typing import Final

import asyncssh

from mesh.cli.outputs import MeshOutputs, NodeOutputs

__all__ = ["Agent", "AgentRun", "HostKeyChangedError", "NodeDownError"]

_AGENT: Final = "/usr/local/lib/wgmesh/wgmesh.pyz"
_CONNECT_SECONDS: Final = 10
_CALL_SECONDS: Final = 90  # the agent's own waits add up to less than 60
_REFUSALS: Final = 3  # an sshd that is being reloaded refuses for a moment
_TRIES: Final = 12  # as many connections as `up` makes for one apply
RECONNECT: Final = 75


class NodeDownError(Exception):
    """A node cannot be reached, or not be asked; the message says why."""


class HostKeyChangedError(Exception):
    """Who answers has another host key than the stack knows; the message shows both fingerprints."""


@dataclass(frozen=True)
class AgentRun:
    """How a call ended: exit code, and what was printed."""

    code: int
    out: str

    @property
    def answer(self) -> str:
        """The last line: a word and a detail."""
        return self.out.strip().rpartition("\n")[2]


class Agent:
    """The agents of a mesh."""

    def __init__(self, mesh: MeshOutputs) -> None:
        self._key = asyncssh.import_private_key(mesh.ssh_private_key)

    async def call(self, node: NodeOutputs, command: str, stdin: str = "") -> AgentRun:
        """Run a command of the node's agent. Raises `NodeDownError`, `HostKeyChangedError`."""
        for left in reversed(range(_REFUSALS)):
            try:
                return await self._call(node, command, stdin)
            except ConnectionRefusedError:
                if not left:
                    raise NodeDownError(
                        f"{node.public_ip} refuses connections to port {node.ssh_port}"
                    ) from None
                await asyncio.sleep(1)
        raise AssertionError

    async def apply(self, node: NodeOutputs, document: str) -> AgentRun:
        """Try and commit a document, over as many connections as the agent asks for; raises as `call`."""
        run = await self.call(node, "apply", document)
        for _ in range(_TRIES):
            if run.code != RECONNECT:
                break
            run = await self.call(node, "apply", document)
        return run

    async def _call(self, node: NodeOutputs, command: str, stdin: str) -> AgentRun:
        pinned = [asyncssh.import_public_key(node.host_key)]
        try:
            async with (
                asyncio.timeout(_CALL_SECONDS),
                asyncssh.connect(
                    node.public_ip,
                    port=node.ssh_port,
                    username="root",
                    client_keys=[self._key],
                    known_hosts=(pinned, [], []),
                    config=None,
                    agent_path=None,
                    connect_timeout=_CONNECT_SECONDS,
                    keepalive_interval=10,
                ) as connection,
            ):
                done = await connection.run(f"exec python3 {_AGENT} {command}", input=stdin)
        except asyncssh.HostKeyNotVerifiable:
            raise HostKeyChangedError(await _who_answers(node)) from None
        except TimeoutError:
            raise NodeDownError(f"{node.public_ip} does not answer") from None
        except ConnectionRefusedError:
            raise
        except (OSError, asyncssh.Error) as error:
            raise NodeDownError(f"{node.public_ip}: {error}") from None
        return AgentRun(done.exit_status if done.exit_status is not None else 255, str(done.stdout))


async def _who_answers(node: NodeOutputs) -> str:
    known = asyncssh.import_public_key(node.host_key).get_fingerprint()
    try:
        shown = await asyncssh.get_server_host_key(
            node.public_ip, node.ssh_port, config=None, server_host_key_algs=["ssh-ed25519"]
        )
    except (OSError, asyncssh.Error):
        shown = None
    found = shown.get_fingerprint() if shown else "another one"
    return (
        f"{node.public_ip} has the host key {found}, the stack knows {known}. Nothing was sent to it: it may "
        "be another machine. If you changed the key yourself, put the old one back"
    )
