"""A rotation of keys in words: how far a node is, and for whom it waits."""

import time
from collections.abc import Iterator, Mapping
from typing import Final

from mesh.calls.reports import ReportedRotation
from mesh.said import shown

__all__ = ["HELD_SECONDS", "WHAT_HELPS", "held", "in_words", "lines", "print_rotations", "progress"]

HELD_SECONDS: Final = 600
"""After so long, a rotation needs somebody: with all nodes there it takes less than a minute."""

WHAT_HELPS: Final = (
    "nothing is interrupted meanwhile. Run `pulumi up` again if a node has not got its files yet, and `mesh "
    "settle` if a node was down; see docs/rotation.md (When a rotation waits)"
)
_NAMED: Final = 5
_MINUTE: Final = 60


def held(rotation: ReportedRotation | None, now: float) -> bool:
    """Whether a rotation has waited for so long that it needs somebody; `now` is Unix time in seconds."""
    return rotation is not None and rotation.under_way and now - rotation.since > HELD_SECONDS


def progress(rotation: ReportedRotation) -> str:
    """Return how many pairs are as far as they can be: `7 of 10 pairs`."""
    ready = sum(not pair.waits for pair in rotation.pairs.values())
    return f"{ready} of {len(rotation.pairs)} pairs"


def in_words(node: str, rotation: ReportedRotation, now: float) -> str:
    """Return one line: progress, duration where it is long, and for whom the node waits, and why."""
    minutes = int((now - rotation.since) // _MINUTE)
    since = f" for {minutes} minutes" if held(rotation, now) else ""
    waits = {name: pair.waits for name, pair in rotation.pairs.items() if pair.waits}
    named = "; ".join(f"{shown(name)}: {shown(why)}" for name, why in list(waits.items())[:_NAMED])
    more = f"; and {len(waits) - _NAMED} more" if len(waits) > _NAMED else ""
    whom = f"; {node} waits for {named}{more}" if waits else ""
    return f"keys: rotating{since}, {progress(rotation)}{whom}"


def lines(found: Mapping[str, ReportedRotation | None], now: float) -> Iterator[str]:
    """Yield a line for each node that rotates its keys, and what helps where one waits for long."""
    under_way = {node: each for node, each in found.items() if each is not None and each.under_way}
    for node, rotation in under_way.items():
        yield f"{node}: {in_words(node, rotation, now)}"
    if any(held(each, now) for each in under_way.values()):
        yield WHAT_HELPS


def print_rotations(found: Mapping[str, ReportedRotation | None]) -> None:
    """Print these lines."""
    for line in lines(found, time.time()):
        print(line)
