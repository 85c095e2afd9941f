"""The table of all pings at the end of `make up`: `mesh reach` right after a first `up`, and later."""

import re
import sys
from typing import Final

from bench.fleet import Fleet, seconds
from bench.progress import Say
from bench.trouble import BenchError

__all__ = ["reach"]

_COMMAND: Final = (sys.executable, "-m", "mesh", "reach")
_ENGINE: Final = (sys.executable, "-m", "lab", "run", "stack", "output", "--json", "--show-secrets")


def reach(*, size: int, repeats: int, say: Say) -> list[dict[str, float]]:
    """Measure on one fleet.

    A run has the seconds of a `table` and, of this, of the engine's `answer`; `first` is the table right
    after the first `up`, handshakes included, of which a fleet has one. `pairs` counts what answered.
    """
    found: list[dict[str, float]] = []
    with Fleet.of(f"reach-{size}") as fleet:
        fleet.boot(size)
        fleet.converge()
        first, pairs = _table(fleet)
        for number in range(1, repeats + 1):
            table, _ = _table(fleet)
            answer = seconds(lambda: _done(fleet, *_ENGINE))
            found.append({"first": first, "table": table, "answer": answer, "pairs": pairs})
            shown = ", ".join(f"{name} {value:.2f}" for name, value in found[-1].items())
            say(f"reach, {size} nodes, run {number}: {shown}")
    return found


def _table(fleet: Fleet) -> tuple[float, int]:
    """Return the seconds until the table of all pings, and the number of pairs that answered: all."""
    printed: list[str] = []
    took = seconds(lambda: printed.append(_done(fleet, *_COMMAND)))
    counted = re.search(r"^all (\d+) pairs reach each other$", printed[0], re.MULTILINE)
    if counted is None:
        raise BenchError(f"`mesh reach` does not end as expected:\n{printed[0][-500:]}")
    return took, int(counted[1])


def _done(fleet: Fleet, *words: str) -> str:
    run = fleet.command(*words)
    if run.code != 0:
        raise BenchError(f"`{' '.join(words[2:])}` failed ({run.code}):\n{run.out[-2000:]}")
    return run.out
