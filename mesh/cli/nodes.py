"""The nodes and their agents, called over SSH: the key pinned, one connection for each call."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

import asyncssh

from mesh.advice import AGENT_GONE, AGENT_GONE_SAYS, HOST_KEY_CHANGED
from mesh.cli.engine import CliError
from mesh.cli.outputs import MeshOutputs, NodeOutputs
from mesh.cli.state import StackState

__all__ = ["AgentClient", "NodeClient", "NodeError", "Ran"]

_AGENT: Final = "/usr/local/lib/wgmesh/wgmesh.pyz"
# What the agent's `status` and `check` print (docs/protocol.md) and is made use of here.
_REPORT: Final = frozenset({"agent", "current", "differences", "peers", "state", "trial"})
# The agent asks by this exit code to be called again over a new connection (docs/protocol.md).
_RECONNECT: Final = 75
# Connections for one apply beyond the first: as many as `up` makes (mesh/program/hooks.py).
_RECONNECT_TRIES: Final = 12

# Seconds from the first packet to a shell: as long as `up` waits for one dial (mesh/program/commands.py).
_CONNECT_SECONDS: Final = 10.0
# Seconds for a whole call of the agent, connecting included: its own waits add up to less than 60.
_AGENT_SECONDS: Final = 90.0
# Seconds of silence after which the node is asked for a sign of life; three without one end the connection,
# well before the whole call does.
_KEEPALIVE_SECONDS: Final = 10.0
# Dials until a closed port counts, and seconds between them: an sshd that is reloaded is back within one.
_DIALS: Final = 3
_REDIAL_SECONDS: Final = 1.0


class NodeError(CliError):
    """A node cannot be reached, or does not do what it is asked; the message says why and what helps."""


@dataclass(frozen=True)
class Ran:
    """How a command on a node ended: exit code, and what was printed."""

    code: int
    out: str

    @property
    def answer(self) -> str:
        """The last line: of the agent, a word and a detail."""
        return self.out.strip().rpartition("\n")[2]


class NodeClient:
    """Runs commands on the nodes of a mesh, as root.

    Nothing of the user's own SSH setup plays a part: no configuration, no agent, no known hosts.
    """

    def __init__(self, mesh: MeshOutputs, state: StackState) -> None:
        self._key = asyncssh.import_private_key(mesh.ssh_private_key)
        self._state = state

    async def run(self, node: NodeOutputs, command: str, *, stdin: str = "", seconds: float) -> Ran:
        """Run a shell command, given up after `seconds`. Raises `NodeError`."""
        refusals = 0
        while True:
            try:
                return await self._run(node, command, stdin, seconds)
            except ConnectionRefusedError:
                refusals += 1
                if refusals == _DIALS:
                    problem = f"{node.public_ip} refuses connections to port {node.ssh_port}"
                    raise NodeError(problem) from None
            await asyncio.sleep(_REDIAL_SECONDS)

    async def _run(self, node: NodeOutputs, command: str, stdin: str, seconds: float) -> Ran:
        pinned = [asyncssh.import_public_key(node.host_key)]
        try:
            async with (
                asyncio.timeout(seconds),
                asyncssh.connect(
                    node.public_ip,
                    port=node.ssh_port,
                    username="root",
                    client_keys=[self._key],
                    known_hosts=(pinned, [], []),
                    config=None,
                    agent_path=None,
                    connect_timeout=_CONNECT_SECONDS,
                    keepalive_interval=_KEEPALIVE_SECONDS,
                ) as connection,
            ):
                done = await connection.run(command, input=stdin)
        except asyncssh.HostKeyNotVerifiable:
            helps = HOST_KEY_CHANGED.format(server=self._state.server(node.name))
            raise NodeError(f"{await _who_answers(node)}: {helps}") from None
        except TimeoutError:
            raise NodeError(f"{node.public_ip} does not answer") from None
        except ConnectionRefusedError:
            raise
        except (OSError, asyncssh.Error) as error:
            raise NodeError(f"{node.public_ip}: {error}") from None
        return Ran(done.exit_status if done.exit_status is not None else 255, str(done.stdout))


class AgentClient(NodeClient):
    """Calls the agents on the nodes."""

    async def call(self, node: NodeOutputs, command: str, stdin: str = "") -> Ran:
        """Run a command of the node's agent. Raises `NodeError`."""
        return await self.run(node, f"exec python3 {_AGENT} {command}", stdin=stdin, seconds=_AGENT_SECONDS)

    async def apply(self, node: NodeOutputs, document: str) -> Ran:
        """Try and commit a document, over as many connections as the agent asks for. Raises `NodeError`."""
        run = await self.call(node, "apply", document)
        for _ in range(_RECONNECT_TRIES):
            if run.code != _RECONNECT:
                break
            run = await self.call(node, "apply", document)
        return run

    async def report(self, node: NodeOutputs, command: str, stdin: str = "") -> dict[str, Any]:
        """Return what the agent's `status` or `check` prints. Raises `NodeError`."""
        run = await self.call(node, command, stdin)
        try:
            report = json.loads(run.out)
        except ValueError:
            report = None
        if run.code == 0 and isinstance(report, dict) and report.keys() >= _REPORT:
            return report
        if AGENT_GONE_SAYS in run.out:
            agent_file, agent = self._state.agent(node.name)
            server = self._state.server(node.name)
            raise NodeError(AGENT_GONE.format(agent_file=agent_file, agent=agent, server=server))
        said = run.answer or "it said nothing"
        raise NodeError(
            f"its agent gave no report (exit code {run.code}: {said}). `journalctl -t wgmesh` there has more."
        )


async def _who_answers(node: NodeOutputs) -> str:
    known = asyncssh.import_public_key(node.host_key).get_fingerprint()
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            shown = await asyncssh.get_server_host_key(
                node.public_ip, node.ssh_port, config=None, server_host_key_algs=["ssh-ed25519"]
            )
    except (OSError, asyncssh.Error):
        shown = None
    found = shown.get_fingerprint() if shown else "another one"
    return f"{node.public_ip} has the host key {found}, the stack knows {known}"
