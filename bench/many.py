"""As many real hosts as one machine carries, from nothing to a full mesh."""

import time
from collections.abc import Callable

from bench.fleet import Fleet, state_sizes
from bench.memory import engine_and_program, in_groups, peak, pss
from lab.hosts.router import Router

__all__ = ["boot_and_mesh"]


def boot_and_mesh(*, size: int, runs: int, say: Callable[[str], None]) -> list[dict[str, float]]:
    """Make `size` servers and their mesh by one `up`, booting included.

    Each run gives `seconds` until all pairs ping, memory in MB (`engine`: the highest sum of engine and
    program, `hosts`: all hosts with the mesh up) and the state's kB per node (`whole`, `files`, `rest`).
    """
    found = []
    for number in range(1, runs + 1):
        with Fleet.of(f"many-{size}") as fleet:
            fleet.resize(size)
            began = time.monotonic()
            with peak(engine_and_program) as engine:
                fleet.converge()
            fleet.await_pings(size)
            measured = {"seconds": time.monotonic() - began, "engine": engine.mb}
            measured["hosts"] = pss(in_groups(f"{Router(fleet.folder / '.lab' / 'cloud').id}-"))
            measured |= state_sizes(fleet.export())
        found.append(measured)
        shown = ", ".join(f"{name} {value:.1f}" for name, value in measured.items())
        say(f"{size} real hosts, run {number}: {shown}")
    return found
