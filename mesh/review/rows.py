"""Many pairs as few rows: senders that reach the same nodes alike are told together."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mesh.review.reach import Difference

__all__ = ["ALL_IT_LET_IN", "Row", "rows"]

ALL_IT_LET_IN: Final = "all that it let in"


@dataclass(frozen=True, kw_only=True)
class Row:
    """Every one of `sources` to every one of `targets` (but itself): the traffic in words, and a note."""

    sources: frozenset[str]
    targets: frozenset[str]
    traffic: str
    note: str


def rows(differences: Iterable[Difference]) -> list[Row]:
    """Return rows that say the same as the differences, those of most pairs first."""
    alike: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for each in differences:
        words = ALL_IT_LET_IN if each.traffic is None else str(each.traffic)
        alike.setdefault((words, each.note), set()).add((each.source, each.target))
    found = [
        Row(sources=sources, targets=targets, traffic=words, note=note)
        for (words, note), pairs in alike.items()
        for sources, targets in _blocks(pairs)
    ]
    return sorted(
        found,
        key=lambda row: (-len(row.sources) * len(row.targets), sorted(row.sources), sorted(row.targets)),
    )


def _blocks(pairs: set[tuple[str, str]]) -> Iterable[tuple[frozenset[str], frozenset[str]]]:
    """Take the pairs apart into blocks, the largest first."""
    senders: dict[str, set[str]] = {}
    for source, target in pairs:
        senders.setdefault(target, set()).add(source)
    while senders:
        blocks: dict[frozenset[str], set[str]] = {}
        for target, sources in senders.items():
            blocks.setdefault(frozenset(sources), set()).add(target)
            # nodes that all reach each other: each has all others as senders
            blocks.setdefault(frozenset((*sources, target)), set()).add(target)
        senders_, targets = max(
            blocks.items(), key=lambda block: (len(block[1]), -len(block[0]), sorted(block[0]))
        )
        yield senders_, frozenset(targets)
        for target in targets:
            del senders[target]
