"""`mesh reach --mtu`, and the same look at the paths in `mesh check`."""

import asyncio
import sys
from functools import cache

from rich.console import Console

from mesh.cli import paths_table
from mesh.cli.check import NodeCheck, check_mesh, with_paths
from mesh.cli.engine import CliError
from mesh.cli.outputs import read_outputs
from mesh.cli.paths import PROBE_SECONDS, probe
from mesh.cli.reach import over, over_ssh
from mesh.cli.state import StackState, read_state
from mesh.outputs import MeshOutputs

__all__ = ["check_with_paths", "reach_mtu"]


def reach_mtu(pulumi: str, stack: str | None, name: str | None, *, via: str | None, as_json: bool) -> None:
    """Probe every ordered pair with packets of its full size. Raises `CliError` unless all of them pass."""
    mesh = read_outputs(pulumi, stack, name)
    if via is None:
        run = over_ssh(mesh, cache(lambda: read_state(pulumi, stack, mesh)), seconds=PROBE_SECONDS)
    else:
        run = over(via, seconds=PROBE_SECONDS)
    with Console(stderr=True).status("sending packets of the full size between all nodes"):
        paths = asyncio.run(probe(mesh, run))
    if as_json:
        print(paths_table.as_json(paths))
    else:
        console = Console() if sys.stdout.isatty() else Console(width=180)
        console.print(paths_table.table(mesh, paths, width=console.width))
        for node, problem in paths.problems.items():
            print(f"{node}: {problem}")
    if paths.holes:
        raise CliError(paths_table.holes_in_words(paths))
    if paths.lost or paths.problems:
        raise CliError(
            f"{len(paths.lost)} of {len(paths.pairs)} pairs are not tested, because no packet came back; "
            f"run `mesh reach`"
        )
    if not as_json:
        print(f"packets of the full size pass between all {len(paths.pairs)} pairs")


async def check_with_paths(mesh: MeshOutputs, state: StackState) -> list[NodeCheck]:
    """Compare all nodes with the stack, and meanwhile look for paths that lose large packets.

    A node that cannot send packets is told by the comparison.
    """
    run = over_ssh(mesh, lambda: state, seconds=PROBE_SECONDS)
    found, paths = await asyncio.gather(check_mesh(mesh, state), probe(mesh, run))
    return with_paths(found, paths)
