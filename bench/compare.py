"""Ours and the playbook, step by step on hosts of the same kind: first up, nothing changed, one more node."""

import time
from collections.abc import Callable
from typing import Any

from bench.fleet import Fleet, seconds
from bench.rival import Playbook, environment

__all__ = ["compare"]

Measured = dict[str, float]


def compare(*, sizes: tuple[int, ...], growing: int, runs: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure both tools on fleets of each size; on those of `growing` nodes the changes as well.

    Returns tool -> size -> list of measured runs, whose names are `first`, `unchanged`, `added` (seconds)
    and `lost` (packets).
    """
    environment()
    found: dict[str, dict[str, list[Measured]]] = {"ours": {}, "playbook": {}}
    for size in sizes:
        for number in range(1, runs + 1):
            for tool, measure in (("ours", _ours), ("playbook", _playbook)):
                with Fleet.of(f"{tool}-{size}") as fleet:
                    measured = measure(fleet, size, changes=size == growing)
                found[tool].setdefault(str(size), []).append(measured)
                shown = ", ".join(f"{name} {value:.1f}" for name, value in measured.items())
                say(f"{size} nodes, {tool}, run {number}: {shown}")
    return found


def _ours(fleet: Fleet, size: int, *, changes: bool) -> Measured:
    return _steps(fleet, size, fleet.converge, lambda _: None, changes=changes)


def _playbook(fleet: Fleet, size: int, *, changes: bool) -> Measured:
    with Playbook.of(fleet) as playbook:
        return _steps(fleet, size, playbook.run, playbook.target, changes=changes)


def _steps(
    fleet: Fleet, size: int, converge: Callable[[], None], target: Callable[[int], None], *, changes: bool
) -> Measured:
    def until_all_ping(count: int) -> float:
        began = time.monotonic()
        converge()
        fleet.await_pings(count)
        return time.monotonic() - began

    fleet.boot(size)
    target(size)
    measured = {"first": until_all_ping(size)}
    if not changes:
        return measured
    measured["unchanged"] = seconds(converge)
    fleet.boot(size + 1)
    target(size + 1)
    took: list[float] = []
    pairs = ((1, 2), (size, size - 1))
    measured["lost"] = fleet.lost_during(pairs, lambda: took.append(until_all_ping(size + 1)))
    measured["added"] = took[0]
    return measured
