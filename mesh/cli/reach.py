"""Who reaches whom: every node pings every other one through the tunnel."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import asyncssh
from rich.table import Table

from mesh.cli.engine import CliError
from mesh.cli.outputs import MeshOutputs, NodeOutputs

__all__ = ["Reach", "measure", "table"]

Runner = Callable[[NodeOutputs, str], Awaitable[str]]
"""Runs a shell command on a node and returns what it printed."""

# One ping to each address at once; prints `<address> <milliseconds>` for each answer.
_PING: Final = r"""
for to in {addresses}; do
    LC_ALL=C ping -n -q -I wg0 -c 1 -W 2 $to 2>/dev/null | sed -n "s|^rtt [^=]*= \([0-9.]*\)/.*|$to \1|p" &
done
wait
"""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The round-trip time in milliseconds of every ordered pair; None where no answer came."""

    pairs: Mapping[tuple[str, str], float | None]

    @property
    def complete(self) -> bool:
        """Whether every node reaches every other one."""
        return all(time is not None for time in self.pairs.values())


async def measure(mesh: MeshOutputs, *, via: str | None, rounds: int) -> Reach:
    """Ping every ordered pair, those that failed again, at most `rounds` times.

    `via` is a command line that runs what follows it on a node, with `{node}` and `{public_ip}` in it;
    None means SSH.
    """
    run = _over_ssh(mesh) if via is None else _over(via)
    names = [name for name, node in mesh.nodes.items() if node.enabled]
    pairs: dict[tuple[str, str], float | None] = {(a, b): None for a in names for b in names if a != b}
    for _ in range(rounds):
        missing = {a: [b for b in names if a != b and pairs[a, b] is None] for a in names}
        answers = await asyncio.gather(*(_ping(run, mesh, a, peers) for a, peers in missing.items() if peers))
        for found in answers:
            pairs.update(found)
        if all(time is not None for time in pairs.values()):
            break
    return Reach(pairs=pairs)


async def _ping(
    run: Runner, mesh: MeshOutputs, source: str, peers: list[str]
) -> dict[tuple[str, str], float | None]:
    addresses = {mesh.nodes[peer].address: peer for peer in peers}
    printed = await run(mesh.nodes[source], _PING.format(addresses=" ".join(addresses)))
    found: dict[tuple[str, str], float | None] = {}
    for line in printed.splitlines():
        address, _, time = line.partition(" ")
        if address in addresses:
            found[source, addresses[address]] = float(time)
    return found


def _over_ssh(mesh: MeshOutputs) -> Runner:
    key = asyncssh.import_private_key(mesh.ssh_private_key)

    async def run(node: NodeOutputs, command: str) -> str:
        try:
            async with asyncssh.connect(
                node.public_ip,
                port=node.ssh_port,
                username="root",
                client_keys=[key],
                known_hosts=([asyncssh.import_public_key(node.host_key)], [], []),
                connect_timeout=10,
            ) as connection:
                result = await connection.run(command)
                return str(result.stdout)
        except (OSError, asyncssh.Error):
            return ""

    return run


def _over(via: str) -> Runner:
    async def run(node: NodeOutputs, command: str) -> str:
        words = [word.format(node=node.name, public_ip=node.public_ip) for word in shlex.split(via)]
        try:
            process = await asyncio.create_subprocess_exec(
                *words, "sh", "-c", command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
            )
        except FileNotFoundError:
            raise CliError(f"--via: `{words[0]}` is not on PATH") from None
        printed, _ = await process.communicate()
        return printed.decode()

    return run


def table(mesh: MeshOutputs, reach: Reach) -> Table:
    """Return the answers as a table: a row per source, a column per destination, milliseconds."""
    grid = Table(title="who reaches whom (ms through the tunnel)")
    grid.add_column("from \\ to")
    enabled = {name: node for name, node in mesh.nodes.items() if node.enabled}
    for node in enabled.values():
        grid.add_column(f"{node.name}\n{node.address}", justify="right")
    for source in enabled:
        cells = []
        for destination in enabled:
            time = reach.pairs.get((source, destination))
            if source == destination:
                cells.append("·")
            elif time is None:
                cells.append("[red]lost[/red]")
            else:
                cells.append(f"[green]{time:.1f}[/green]")
        grid.add_row(source, *cells)
    return grid
