"""`plot.py RESULTS.json OUT.svg`: how things grow. Runs in the environment that has matplotlib."""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "wireguard-mesh", "svg.fonttype": "none", "font.size": 9})

from matplotlib import pyplot as plt  # noqa: E402 - after the choice of what draws

_TIMES = (("up", "up from nothing"), ("unchanged", "nothing changed"), ("preview", "preview of one more"))
_SIZES = (("whole", "state per node"), ("files", "of it the node's files"))


def main() -> None:
    """Draw times beside sizes."""
    source, target = map(Path, sys.argv[1:3])
    growth = json.loads(source.read_text())["growth"]
    figure, (times, sizes) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    _draw(times, growth, _TIMES, "seconds")
    _draw(sizes, growth, _SIZES, "kB")
    figure.savefig(target, metadata={"Date": None})


def _draw(
    axes: Any, growth: dict[str, list[dict[str, float]]], lines: tuple[tuple[str, str], ...], unit: str
) -> None:
    nodes = [int(size) for size in growth]
    for name, label in lines:
        middles = [statistics.median(run[name] for run in runs) for runs in growth.values()]
        axes.plot(nodes, middles, marker="o", markersize=4, label=label)
    axes.set_xlabel("nodes")
    axes.set_ylabel(unit)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()


if __name__ == "__main__":
    main()
