"""All ways to make a mesh, step by step on hosts of the same kind: first, nothing changed, one node added."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from bench.environment import environment
from bench.fleet import Fleet, names
from bench.operators import Operator
from bench.progress import Failures, Say
from bench.rivals import Rival, Tool

__all__ = ["Around", "compare", "undelayed"]

Measured = dict[str, float]
Around = Callable[[Fleet], AbstractContextManager[None]]
"""Changes the network of a fleet while its tool is measured."""


@contextmanager
def undelayed(_fleet: Fleet) -> Iterator[None]:
    """Leave the network as it is."""
    yield


def compare(
    rivals: Sequence[Rival], *, sizes: Sequence[int], growing: int, repeats: int, around: Around, say: Say
) -> dict[str, Any]:
    """Measure all rivals on fresh fleets of each size, in turn; on those of `growing` nodes all steps.

    Returns `sizes`: rival -> size -> list of measured runs, and `failed`: rival -> message. A run has for
    each step (`first`, `unchanged`, `added`) the seconds under the step's name, and under `STEP ssh` the
    connections per node, `STEP host` CPU seconds per host, `STEP operator` CPU seconds of the tool; nodes
    and hosts are medians over those that were there before the step. `lost` counts packets.
    """
    environment()
    found: dict[str, dict[str, list[Measured]]] = {rival.name: {} for rival in rivals}
    failures = Failures(say)
    for size in sizes:
        for number in range(1, repeats + 1):
            for rival in _in_turn(rivals, number):
                if rival.name in failures.found and not found[rival.name]:
                    continue  # never worked
                with failures.noted(rival.name), Fleet.of(f"{rival.name}-{size}") as fleet, around(fleet):
                    measured = _measure(fleet, rival, size, changes=size == growing)
                    found[rival.name].setdefault(str(size), []).append(measured)
                    seconds = {name: value for name, value in measured.items() if " " not in name}
                    shown = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
                    say(f"{size} nodes, {rival.title}, run {number}: {shown}")
    return {"sizes": found, "failed": failures.found}


def _in_turn(rivals: Sequence[Rival], number: int) -> list[Rival]:
    """Begin each round with another rival, as a round's first run may be in luck."""
    start = (number - 1) % len(rivals)
    return [*rivals[start:], *rivals[:start]]


def _measure(fleet: Fleet, rival: Rival, size: int, *, changes: bool) -> Measured:
    with Operator.of_a_run() as operator, rival.of(fleet, operator) as tool:
        fleet.boot(size)
        tool.target(size)
        measured = _watched("first", fleet, operator, size, lambda: _until_all_ping(fleet, tool, size))
        if changes:
            measured |= _watched("unchanged", fleet, operator, size, tool.converge)
            measured |= _added(fleet, operator, tool, size)
        return measured


def _added(fleet: Fleet, operator: Operator, tool: Tool, size: int) -> Measured:
    fleet.boot(size + 1)
    tool.target(size + 1)
    measured: Measured = {}

    def add() -> None:
        measured.update(
            _watched("added", fleet, operator, size, lambda: _until_all_ping(fleet, tool, size + 1))
        )

    lost = fleet.lost_during(((1, 2), (size, size - 1)), add)
    return {**measured, "lost": lost}


def _until_all_ping(fleet: Fleet, tool: Tool, count: int) -> None:
    tool.converge()
    fleet.await_pings(count)


def _watched(step: str, fleet: Fleet, operator: Operator, size: int, work: Callable[[], None]) -> Measured:
    """Run a step; count what it took on the first `size` nodes and on the operator's machine."""
    nodes = names(size)
    logins = fleet.logins(nodes)
    cpu = [operator.cpu(), *fleet.cpu(nodes)]
    began = time.monotonic()
    work()
    seconds = time.monotonic() - began
    spent, *hosts = _since(cpu, [operator.cpu(), *fleet.cpu(nodes)])
    return {
        step: seconds,
        f"{step} ssh": statistics.median(_since(logins, fleet.logins(nodes))),
        f"{step} host": statistics.median(hosts),
        f"{step} operator": spent,
    }


def _since(before: Sequence[float], after: Sequence[float]) -> list[float]:
    return [new - old for old, new in zip(before, after, strict=True)]
