"""The nodes and their agents, called over SSH: the key pinned, one connection for each call.

What they answer is read up to a limit and shown through `mesh.said` alone.
"""

import asyncio
import contextlib
import hashlib
import secrets
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import asyncssh

from mesh.advice import AGENT_GONE, AGENT_GONE_SAYS, HOST_KEY_CHANGED
from mesh.calls.errors import NodeError
from mesh.calls.reports import Report, ReportError, parse_report
from mesh.calls.trouble import in_words
from mesh.names import RECONNECT_STATUS, RECONNECT_TRIES
from mesh.outputs import NodeOutputs
from mesh.remote import agent_call
from mesh.said import REPORT_BYTES, TEXT_BYTES, last_line, shown

__all__ = ["AgentClient", "NodeClient", "NodeError", "Opening", "Ran", "Remedies", "read_at_most"]

_CHUNK_BYTES: Final = 32_768

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


class Remedies(Protocol):
    """What can be replaced to put a node right: the URNs of its server, and of the two steps of its agent."""

    def server(self, node: str, /) -> str:
        """Return the URN of what the node's commands live and die with."""

    def agent(self, node: str, /) -> tuple[str, str]:
        """Return the URNs of what copies the node's agent and what installs it."""


class Opening(Protocol):
    """What opens the nodes."""

    @property
    def ssh_private_key(self) -> str:
        """The management key, OpenSSH format."""


@dataclass(frozen=True)
class Ran:
    """How a command on a node ended: exit code, and what it printed, as it came."""

    code: int
    out: str
    err: str = ""

    @property
    def answer(self) -> str:
        """The last line, to be shown: of the agent, a word and a detail."""
        return shown(last_line(self.out) or last_line(self.err))


class _Stream(Protocol):
    async def read(self, n: int = -1, /) -> bytes: ...


async def read_at_most(stream: _Stream, limit: int) -> bytes:
    """Read a stream to its end, which must come within `limit` bytes. Raises `NodeError`."""
    found = bytearray()
    while chunk := await stream.read(_CHUNK_BYTES):
        found += chunk
        if len(found) > limit:
            raise NodeError(
                f"its answer was longer than {limit // 1000} kB and was cut off: an attacker may control "
                "this node"
            )
    return bytes(found)


async def _read_first(stream: _Stream, limit: int) -> bytes:
    """Read a stream to its end and return its first bytes."""
    found = bytearray()
    while chunk := await stream.read(_CHUNK_BYTES):
        found += chunk[: limit - len(found)]
    return bytes(found)


def _line(command: str, marker: str, seconds: float) -> str:
    """Return what root's login shell is given: a shell that everybody knows, which ends in time on the node.

    The marker tells what the command prints from what start files print.
    """
    return f"exec timeout -s KILL {seconds:.0f} sh -c {shlex.quote(f'echo {marker}; {command}')}"


def _after(marker: str, out: str) -> str:
    """Return what follows the marker; all of it where the login shell was not one to print that."""
    before, found, after = out.partition(f"{marker}\n")
    return after if found else before


class NodeClient:
    """Runs commands on the nodes of a mesh, as root.

    Nothing of the user's own SSH setup plays a part: no configuration, no agent, no known hosts.
    """

    def __init__(self, mesh: Opening, state: Callable[[], Remedies]) -> None:
        """`state` is asked where an error needs it; what it raises goes on."""
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
        marker = f"wgmesh-{secrets.token_hex(8)}"
        try:
            async with asyncio.timeout(seconds), self._connect(node) as connection:
                try:
                    code, out, err = await _talk(connection, _line(command, marker, seconds), stdin)
                except NodeError:
                    connection.abort()
                    raise
        except asyncssh.HostKeyNotVerifiable:
            helps = HOST_KEY_CHANGED.format(server=self._state().server(node.name))
            raise NodeError(f"{await _who_answers(node)}: {helps}") from None
        except TimeoutError:
            raise NodeError(f"{node.public_ip} does not answer") from None
        except ConnectionRefusedError:
            raise
        except (OSError, asyncssh.Error) as error:
            raise NodeError(in_words(error, node.public_ip, node.ssh_port)) from None
        text = out.decode(errors="replace")
        return Ran(code, _after(marker, text), err.decode(errors="replace"))

    def _connect(self, node: NodeOutputs) -> Any:
        pinned = [asyncssh.import_public_key(node.host_key)]
        return asyncssh.connect(
            node.public_ip,
            port=node.ssh_port,
            username="root",
            client_keys=[self._key],
            known_hosts=(pinned, [], []),
            config=None,
            agent_path=None,
            connect_timeout=_CONNECT_SECONDS,
            keepalive_interval=_KEEPALIVE_SECONDS,
        )


async def _talk(connection: asyncssh.SSHClientConnection, line: str, stdin: str) -> tuple[int, bytes, bytes]:
    """Run a command; returns its exit code and what it printed on stdout and stderr. Raises `NodeError`."""
    process: asyncssh.SSHClientProcess[bytes] = await connection.create_process(line, encoding=None)
    with contextlib.suppress(OSError):  # one that ended without reading it has its exit code to say why
        process.stdin.write(stdin.encode())
        process.stdin.write_eof()
    out, err = await asyncio.gather(
        read_at_most(process.stdout, REPORT_BYTES), _read_first(process.stderr, TEXT_BYTES)
    )
    await process.wait_closed()
    return (process.exit_status if process.exit_status is not None else 255), out, err


class AgentClient(NodeClient):
    """Calls the agents on the nodes."""

    async def call(self, node: NodeOutputs, command: str, stdin: str = "") -> Ran:
        """Run a command of the node's agent. Raises `NodeError`."""
        return await self.run(node, agent_call(command), stdin=stdin, seconds=_AGENT_SECONDS)

    async def apply(self, node: NodeOutputs, document: str) -> Ran:
        """Try and commit a document, over as many connections as the agent asks for.

        Raises `NodeError`, also for an agent that says it committed, but not this document.
        """
        run = await self.call(node, "apply", document)
        for _ in range(RECONNECT_TRIES):
            if run.code != RECONNECT_STATUS:
                break
            run = await self.call(node, "apply", document)
        digest = hashlib.sha256(document.encode()).hexdigest()
        if run.code == 0 and run.answer not in (f"CONFIRMED {digest}", f"UNCHANGED {digest}"):
            raise NodeError(f"its agent did not confirm the new files; it answered `{run.answer}`")
        return run

    async def report(self, node: NodeOutputs, command: str, stdin: str = "") -> Report:
        """Return what the agent's `status` or `check` prints. Raises `NodeError`."""
        run = await self.call(node, command, stdin)
        trouble = ""
        if run.code == 0:
            try:
                return parse_report(run.out[max(0, run.out.find("{")) :])
            except ReportError as error:
                trouble = f"; {error}"
        if AGENT_GONE_SAYS in run.out + run.err:
            agent_file, keys = self._state().agent(node.name)
            server = self._state().server(node.name)
            raise NodeError(AGENT_GONE.format(agent_file=agent_file, keys=keys, server=server))
        said = run.answer or "it said nothing"
        raise NodeError(
            f"its agent gave no report (exit code {run.code}: {said}{trouble}). "
            "See `journalctl -t wgmesh` on the node."
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
    return f"{node.public_ip} shows the host key {found}, but the stack knows {known}"
