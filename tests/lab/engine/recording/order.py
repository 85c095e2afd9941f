"""Which steps of an operation may come in either order."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.lab.engine.recording.normal import DELETES

__all__ = ["unordered"]

Steps = Sequence[Mapping[str, Any]]


def unordered(steps: Steps, before: Steps, after: Steps) -> list[list[int]]:
    """Return the pairs of places in `steps` that no dependency orders, from the records before and after."""
    needs, needed = _closure(after), _closure(before)
    first = _deleted_before_replaced(steps)
    return [
        [one, other]
        for one in range(len(steps))
        for other in range(one + 1, len(steps))
        if _free(steps[one], steps[other], needs, needed, first)
    ]


def _free(
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    needs: Mapping[str, set[str]],
    needed: Mapping[str, set[str]],
    first: set[str],
) -> bool:
    if one["urn"] == other["urn"]:
        return False
    if one["op"] == other["op"] == "refresh":  # resources are read again without regard to dependencies
        return True
    deletes = [step for step in (one, other) if step["op"] in DELETES]
    if len(deletes) == 1:
        # deletes come after the program has ended, but for those before a replacement
        early = deletes[0]["op"] in {"delete-replaced", "remove-pending-replace"}
        return early and deletes[0]["urn"] in first and not _tied(one, other, needs)
    return not _tied(one, other, needed if deletes else needs)


def _tied(one: Mapping[str, Any], other: Mapping[str, Any], needs: Mapping[str, set[str]]) -> bool:
    return other["urn"] in needs.get(one["urn"], ()) or one["urn"] in needs.get(other["urn"], ())


def _deleted_before_replaced(steps: Steps) -> set[str]:
    seen: set[str] = set()
    found: set[str] = set()
    for step in steps:
        if step["op"] == "delete-replaced" and step["urn"] not in seen:
            found.add(step["urn"])
        if step["op"] in {"create-replacement", "replace"}:
            seen.add(step["urn"])
    return found


def _closure(records: Steps) -> dict[str, set[str]]:
    """Return by URN all that a resource needs, directly or not."""
    direct: dict[str, set[str]] = {}
    for record in records:
        named = [record.get("parent"), record.get("deletedWith"), *(record.get("dependencies") or [])]
        for urns in (record.get("propertyDependencies") or {}).values():
            named += urns
        direct.setdefault(record["urn"], set()).update(urn for urn in named if urn)
    found: dict[str, set[str]] = {}
    for urn in direct:
        reached: set[str] = set()
        frontier = [urn]
        while frontier:
            fresh = direct.get(frontier.pop(), set()) - reached
            reached |= fresh
            frontier += fresh
        found[urn] = reached
    return found
