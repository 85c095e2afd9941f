"""Sets of whole numbers as ranges in order: ports, types of ICMP."""

from collections.abc import Iterable

__all__ = ["Ranges", "intersected", "ranges", "subtracted", "united"]

Ranges = tuple[tuple[int, int], ...]
"""Ranges with both ends included; sorted, without overlaps or neighbours."""


def ranges(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """Return any ranges as `Ranges`."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(pairs):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def united(one: Ranges, other: Ranges) -> Ranges:
    """Return what either has."""
    return ranges((*one, *other))


def intersected(one: Ranges, other: Ranges) -> Ranges:
    """Return what both have."""
    both = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return tuple((first, last) for first, last in both if first <= last)


def subtracted(one: Ranges, other: Ranges) -> Ranges:
    """Return what `one` has and `other` has not."""
    left = list(one)
    for first, last in other:
        left = [
            piece
            for start, end in left
            for piece in ((start, min(end, first - 1)), (max(start, last + 1), end))
            if piece[0] <= piece[1]
        ]
    return tuple(left)
