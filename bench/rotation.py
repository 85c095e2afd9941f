"""Keys that change under traffic on every pair of nodes: by a rotation, and all at once without one."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from bench.fleet import FOLDER, all_answer, remove
from bench.progress import Say
from bench.rotating import Rotating
from lab.hosts.image import build_image
from lab.testing import REPOSITORY, Traffic, traffic

__all__ = ["LATE_SECONDS", "RATE", "ROTATIONS", "WITHOUT", "rotate"]

RATE: Final = 500.0
"""Packets a second on each ordered pair."""
LATE_SECONDS: Final = 5.0
"""Within which the nodes get their files."""
ROTATIONS: Final[Mapping[str, Callable[[Rotating], None]]] = {
    "one identity": lambda nodes: nodes.new_identities(next(iter(nodes.nodes))),
    "all pre-shared keys": lambda nodes: nodes.new_root(),
    "all identities": lambda nodes: nodes.new_identities(),
}
"""What may change, in the stack's eyes."""
WITHOUT: Final = "all identities, without `rotation:`"
"""What the rotations are compared with."""

_IMAGE: Final = REPOSITORY / ".lab" / "image"
_FORMER_SECONDS: Final = 2.0
"""Traffic before a change: no figure is from a first packet."""


def rotate(*, size: int, repeats: int, say: Say) -> dict[str, Any]:
    """Measure all changes in turn, on one set of nodes.

    Returns `size`, `rate` (packets a second), `late` (seconds) and `measured`: change -> list of runs. A run
    has the packets `sent`, `lost` and `no_room` (dropped by kernels, not taken off `lost`), the longest `gap`
    (milliseconds), and `seconds` from when the last node had its files to the end.
    """
    found: dict[str, list[dict[str, float]]] = {what: [] for what in (*ROTATIONS, WITHOUT)}
    with _nodes(size) as nodes:
        for number in range(1, repeats + 1):
            for what, runs in found.items():
                runs.append(_rotated(nodes, what) if what in ROTATIONS else _at_once(nodes))
                shown = ", ".join(f"{name} {value:.0f}" for name, value in runs[-1].items())
                say(f"{what}, run {number}: {shown}")
    return {"size": size, "rate": RATE, "late": LATE_SECONDS, "measured": found}


@contextmanager
def _nodes(size: int) -> Iterator[Rotating]:
    build_image(_IMAGE, "debian-12", print)
    folder = FOLDER / "worlds" / "rotation"
    folder.mkdir(parents=True)
    try:
        yield Rotating.of(folder, _IMAGE, size)
    finally:
        remove(folder)


def _rotated(nodes: Rotating, what: str) -> dict[str, float]:
    return _measured(nodes, ROTATIONS[what], nodes.wait)


def _at_once(nodes: Rotating) -> dict[str, float]:
    """Have a mesh without rotation for the time of a run."""
    rotating, nodes.mesh = nodes.mesh, {}
    nodes.settle(nodes.apply())
    measured = _measured(nodes, ROTATIONS["all identities"], lambda: _await_pings(nodes))
    nodes.mesh = rotating
    nodes.settle(nodes.apply())
    return measured


def _measured(
    nodes: Rotating, change: Callable[[Rotating], None], wait: Callable[[], None]
) -> dict[str, float]:
    change(nodes)
    with traffic(nodes.nodes, nodes.addresses, rate=RATE) as seen:
        time.sleep(_FORMER_SECONDS)
        nodes.settle(nodes.apply(skew=nodes.skew(LATE_SECONDS)))
        began = time.monotonic()
        wait()
        seconds = time.monotonic() - began
    nodes.check()  # figures of keys that have not changed would say nothing
    return {**_figures(seen), "seconds": seconds}


def _figures(seen: Traffic) -> dict[str, float]:
    return {
        "sent": seen.total,
        "lost": sum(seen.lost.values()),
        "no_room": seen.no_room,
        "gap": seen.longest_gap * 1000,
    }


def _await_pings(nodes: Rotating) -> None:
    scripts = {
        name: all_answer(address for other, address in nodes.addresses.items() if other != name)
        for name in nodes.nodes
    }
    with ThreadPoolExecutor(len(scripts)) as pool:
        list(pool.map(lambda name: nodes.nodes[name].inside(scripts[name]), scripts))
