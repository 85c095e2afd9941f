"""Comparing two sets of properties in detail, as providers report it."""

from collections.abc import Callable, Mapping
from typing import Any

from lab.engine.provider import DiffKind, DiffResult, PropertyDiff
from lab.engine.values import same

__all__ = ["compare"]


def compare(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    replaces: Callable[[str], bool],
    delete_before_replace: bool = False,
) -> DiffResult:
    """Return how `new` differs from `old`.

    `replaces` tells of a top-level name that it cannot change in place.
    """
    found: dict[str, DiffKind] = {}
    for name in sorted(old.keys() | new.keys()):
        _walk(name, old.get(name), new.get(name), found)
    detailed = {}
    for path, kind in found.items():
        name = path.split(".", 1)[0].split("[", 1)[0]
        must = replaces(name)
        detailed[path] = PropertyDiff(kind=DiffKind(f"{kind}-replace") if must else kind)
    names = list(dict.fromkeys(path.split(".", 1)[0].split("[", 1)[0] for path in found))
    return DiffResult(
        changes=bool(found),
        # as Pulumi's Go providers report it: a property as a whole, not an element of one
        replaces=[name for name in names if name in found and replaces(name)],
        diffs=names,
        detailed=detailed,
        delete_before_replace=delete_before_replace,
    )


def _walk(path: str, old: Any, new: Any, found: dict[str, DiffKind]) -> None:
    if same(old, new):
        return
    if old is None:
        found[path] = DiffKind.ADD
    elif new is None:
        found[path] = DiffKind.DELETE
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted(old.keys() | new.keys()):
            _walk(f"{path}{_part(name)}", old.get(name), new.get(name), found)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else None
            after = new[index] if index < len(new) else None
            _walk(f"{path}[{index}]", before, after, found)
    else:
        found[path] = DiffKind.UPDATE


def _part(name: str) -> str:
    return f'["{name}"]' if any(char in name for char in '."[]') else f".{name}"
