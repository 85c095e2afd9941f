"""Who reaches whom: every node pings every other one through the tunnel."""

import asyncio
import contextlib
import os
import re
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mesh.calls.nodes import NodeClient, NodeError, read_at_most
from mesh.cli.engine import CliError
from mesh.cli.outputs import NOT_MADE
from mesh.cli.state import StackState
from mesh.names import INTERFACE
from mesh.outputs import MeshOutputs, NodeOutputs
from mesh.said import TEXT_BYTES, last_line, shown

__all__ = ["Reach", "Runner", "in_ipv6", "measure", "over", "over_ssh"]

Runner = Callable[[NodeOutputs, str], Awaitable[str]]
"""Runs a shell command on a node and returns what it printed. Raises `NodeError`."""

# Seconds for one round on one node, connecting included (10): the pings are over within 2.
_ROUND_SECONDS: Final = 20.0
# Seconds for a command to end that has said all.
_ENDS_SECONDS: Final = 1.0

# One ping to each address at once; prints `<address> <milliseconds>` for each answer, `<address> ! <why>`
# where ping could not be run (no answer is exit code 1), and a line when all are done. It waits 2 seconds:
# far longer than the way around the Earth and a first handshake take, while one that is lost is sent again
# after 5 (REKEY_TIMEOUT, WireGuard whitepaper 6.1), which is what further rounds are for.
# Ping is the only program that an answer costs: a hundred nodes have 9900 pairs.
# In one line, which every login shell takes.
_PING: Final = (
    r"for to in {addresses}; do {{ "
    r"said=$(LC_ALL=C ping -n -q -I {interface} -c 1 -W 2 $to 2>&1); code=$?; "
    r'if [ $code -gt 1 ]; then echo "$to ! $(echo "$said" | head -n 1)"; fi; '
    r'case $said in *"rtt "*" = "*) said=${{said##* = }}; echo "$to ${{said%%/*}}";; esac; '
    r"}} & done; wait; echo {end}"
)
_END: Final = "wgmesh-all-pinged"
_MILLISECONDS: Final = re.compile(r"[0-9]{1,7}(\.[0-9]{1,6})?")


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The round-trip time in milliseconds of every ordered pair; None where no answer came.

    `problems` says of nodes that could not be asked why not; one that is not made yet is in no pair.
    """

    pairs: Mapping[tuple[str, str], float | None]
    problems: Mapping[str, str]

    @property
    def lost(self) -> list[tuple[str, str]]:
        """The pairs without an answer."""
        return [pair for pair, time in self.pairs.items() if time is None]


def in_ipv6(mesh: MeshOutputs) -> MeshOutputs | None:
    """Return the same mesh with its IPv6 addresses in place of the others; None where no node has one."""
    nodes = {
        name: replace(node, address=node.address6)
        for name, node in mesh.nodes.items()
        if node.address6 is not None
    }
    return replace(mesh, nodes=nodes) if nodes else None


def _say_nothing(_words: str) -> None:
    """Where nobody watches."""


async def measure(
    mesh: MeshOutputs, run: Runner, *, rounds: int, say: Callable[[str], object] = _say_nothing
) -> Reach:
    """Ping every ordered pair of enabled nodes with a path, those that failed again, at most `rounds` times.

    `say` is told how far it has come.
    """
    names = [name for name, node in mesh.nodes.items() if node.enabled]
    pairs = {(a, b): None for a in names for b in names if mesh.nodes[a].has_path_to(b)}
    reach = Reach(pairs=pairs, problems={})
    for number in range(1, rounds + 1):
        if not reach.lost:
            break
        say(f"round {number} of at most {rounds}: {len(reach.lost)} of {len(reach.pairs)} pairs to ping")
        reach = await _again(reach, mesh, run)
    return replace(reach, problems={**reach.problems, **dict.fromkeys(mesh.missing, NOT_MADE)})


async def _again(reach: Reach, mesh: MeshOutputs, run: Runner) -> Reach:
    """Ping the pairs that are lost, all nodes at once."""
    peers: dict[str, list[str]] = {}
    for source, destination in reach.lost:
        peers.setdefault(source, []).append(destination)
    answers = await asyncio.gather(*(_ping(run, mesh, source, lost) for source, lost in peers.items()))
    pairs, problems = dict(reach.pairs), {}
    for source, (times, problem) in zip(peers, answers, strict=True):
        pairs.update({(source, destination): time for destination, time in times.items()})
        if problem is not None:
            problems[source] = problem
    return Reach(pairs=pairs, problems=problems)


async def _ping(
    run: Runner, mesh: MeshOutputs, source: str, peers: list[str]
) -> tuple[dict[str, float], str | None]:
    """Return the milliseconds to each peer that answers, and why the source itself could not be asked."""
    addresses = {mesh.nodes[peer].address: peer for peer in peers}
    try:
        printed = await run(mesh.nodes[source], _command(addresses))
    except NodeError as error:
        return {}, str(error)
    found: dict[str, float] = {}
    trouble = None if f"{_END}\n" in printed else f"could not run the pings on this node: {_said(printed)}"
    for line in printed.split("\n"):
        address, _, told = line.partition(" ")
        if address in addresses and _MILLISECONDS.fullmatch(told):
            found[addresses[address]] = float(told)
        elif address in addresses and told.startswith("! "):
            trouble = f"could not run ping on this node: {shown(told[2:])}"
    return found, trouble


def _command(addresses: Iterable[str]) -> str:
    return _PING.format(addresses=" ".join(addresses), interface=INTERFACE, end=_END)


def _said(printed: str) -> str:
    return shown(last_line(printed)) or "its shell printed nothing"


def over_ssh(
    mesh: MeshOutputs, state: Callable[[], StackState], *, seconds: float = _ROUND_SECONDS
) -> Runner:
    """Return what runs a command on a node over SSH; `state` is asked where an error needs it."""
    client = NodeClient(mesh, state)

    async def run(node: NodeOutputs, command: str) -> str:
        return (await client.run(node, command, seconds=seconds)).out

    return run


def over(via: str, *, seconds: float = _ROUND_SECONDS) -> Runner:
    """Return what runs a command on a node by the command line `via`, which runs what follows it there.

    It has `{node}` or `{public_ip}` in it. The runner raises `CliError` when it is not there.
    """

    async def run(node: NodeOutputs, command: str) -> str:
        words = [word.format(node=node.name, public_ip=node.public_ip) for word in shlex.split(via)]
        try:
            async with _printed_by([*words, "sh", "-c", command]) as stream, asyncio.timeout(seconds):
                printed = await read_at_most(stream, TEXT_BYTES)
        except FileNotFoundError:
            raise CliError(f"--via: `{words[0]}` is not on PATH") from None
        except TimeoutError:
            raise NodeError(f"no answer within {seconds:.0f} s over --via") from None
        return printed.decode(errors="replace")

    return run


@contextlib.asynccontextmanager
async def _printed_by(words: Sequence[str]) -> AsyncIterator[asyncio.StreamReader]:
    """Run a command line; yield what it prints, to which nobody listens after the block. Raises `OSError`.

    The pipe is our own: asyncio's goes on waiting while a process that the command started holds it open.
    """
    reading, writing = os.pipe()
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading, "rb", buffering=0)
    )
    try:
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.DEVNULL, stdout=writing
            )
        finally:
            os.close(writing)
        try:
            yield stream
        finally:
            await _end(process)
    finally:
        transport.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    """See a process end that has said all, and end one that has not."""
    for _chance in range(2):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ENDS_SECONDS):
                await process.wait()
                return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            process.kill()
