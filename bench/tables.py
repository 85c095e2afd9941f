"""The tables of the comparisons."""

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bench.rivals import OURS, PLAYBOOK, RIVALS, Rival

__all__ = ["Runs", "Table", "cell", "certain", "comparisons", "median", "middle"]

Runs = Sequence[Mapping[str, float]]
Table = list[tuple[str, ...]]
"""The first row has the titles."""

_STEPS: Final = {
    "first": "all pairs ping",
    "unchanged": "nothing changed",
    "added": "one node added, all pairs ping",
}
_COUNTS: Final = {
    "ssh": ("SSH connections per node", 0),
    "host": ("CPU seconds per host", 2),
    "operator": ("CPU seconds of the tool", 1),
}
_NOTHING: Final = "-"
_BEYOND: Final = 0.025
"""The chance that the true median lies on one side of a confidence interval of 95 %."""


def median(runs: Runs, name: str) -> float:
    """Return the median of one figure."""
    return statistics.median(run[name] for run in runs)


def cell(runs: Runs, name: str, unit: str = "", digits: int = 1) -> str:
    """Return a figure's median, and its lowest and highest value where they differ."""
    shown = [f"{value:.{digits}f}" for value in (median(runs, name), *(run[name] for run in runs))]
    low, high = min(shown, key=float), max(shown, key=float)
    spread = f" ({low} to {high})" if low != high else ""
    return f"{shown[0]} {unit}".strip() + spread


def middle(runs: Runs, name: str, unit: str) -> str:
    """Return the median of a figure that was measured often, and what the middle half of all lies between."""
    low, mid, high = statistics.quantiles((run[name] for run in runs), n=4, method="inclusive")
    return f"{mid:.0f} {unit} ({low:.0f} to {high:.0f})"


def certain(runs: Runs, name: str, unit: str) -> str:
    """Return the median of a figure that was measured often, and its confidence interval of 95 %.

    The interval holds for values of any distribution: each value lies below the true median with a chance of
    one half, so the number of values below is binomial (Conover, Practical Nonparametric Statistics, 3.2).
    With fewer than six values, all of them lie in the interval.
    """
    values = sorted(run[name] for run in runs)
    cut = _values_outside(len(values))
    return f"{statistics.median(values):.1f} {unit} ({values[cut]:.1f} to {values[-1 - cut]:.1f})"


def _values_outside(count: int) -> int:
    """Return how many values on each side do not belong to the interval."""
    ways = itertools.accumulate(math.comb(count, below) for below in range(count))
    return max(sum(math.ldexp(each, -count) <= _BEYOND for each in ways) - 1, 0)


class _Compared:
    """Runs by rival and size, where each may be missing."""

    def __init__(self, sizes: Mapping[str, Mapping[str, Runs]]) -> None:
        self._sizes = sizes
        self.rivals = [rival for rival in RIVALS if rival.name in sizes]

    def runs(self, rival: Rival, size: str, name: str) -> Runs | None:
        """Return the runs that have a figure."""
        runs = self._sizes[rival.name].get(size, ())
        return runs if runs and name in runs[0] else None

    def lines(self, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield the names of figures, and the sizes that have them."""
        sizes = sorted({size for found in self._sizes.values() for size in found}, key=int)
        for name in names:
            for size in sizes:
                if any(self.runs(rival, size, name) for rival in self.rivals):
                    yield name, size

    def cells(self, name: str, size: str, unit: str, digits: int) -> tuple[str, ...]:
        """Return a figure of every rival."""
        found = (self.runs(rival, size, name) for rival in self.rivals)
        return tuple(cell(runs, name, unit, digits) if runs else _NOTHING for runs in found)

    def ratio(self, rival: Rival, name: str, size: str) -> str:
        """Return ours as a part of a rival's."""
        ours, theirs = self.runs(OURS, size, name), self.runs(rival, size, name)
        return f"{median(ours, name) / median(theirs, name):.2f}" if ours and theirs else _NOTHING


def comparisons(
    sizes: Mapping[str, Mapping[str, Runs]], goals: Mapping[tuple[str, str], float]
) -> dict[str, Any]:
    """Return the tables `times`, `ratios`, `counts`; a goal is a ratio to the playbook, by step and size."""
    found = _Compared(sizes)
    titles = [rival.title for rival in found.rivals]
    times: Table = [("step", "nodes", *titles)]
    ratios: Table = [
        ("step", "nodes", *(f"ours / {title}" for title in titles[1:2]), "goal",
         *(f"ours / {title}" for title in titles[2:]))
    ]  # fmt: skip
    for step, size in found.lines([*_STEPS]):
        times.append((_STEPS[step], size, *found.cells(step, size, "s", 1)))
        parts = [found.ratio(rival, step, size) for rival in found.rivals[1:]]
        goal = goals.get((step, size))
        ratios.append((_STEPS[step], size, parts[0], f"at most {goal:g}" if goal else _NOTHING, *parts[1:]))
    for name, size in found.lines(["lost"]):
        times.append(("packets lost meanwhile", size, *found.cells(name, size, "", 0)))
    return {"times": times, "ratios": ratios, "counts": _counts(found, titles)}


def _counts(found: _Compared, titles: Sequence[str]) -> Table:
    counts: Table = [("what", "step", "nodes", *titles)]
    for name, (what, digits) in _COUNTS.items():
        for figure, size in found.lines([f"{step} {name}" for step in _STEPS]):
            step = _STEPS[figure.partition(" ")[0]]
            counts.append((what, step, size, *found.cells(figure, size, "", digits)))
    return counts


assert RIVALS[:2] == (OURS, PLAYBOOK)  # the columns of the ratios
