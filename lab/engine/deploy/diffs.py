"""What a comparison means for a resource: left alone, changed or replaced."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from lab.engine.deploy.paths import contains, parse_path
from lab.engine.provider import DiffKind, DiffResult, PropertyDiff
from lab.engine.values import contains_unknown, same

__all__ = ["inverted", "is_replacement", "triggers", "with_replace_on_changes"]

_REPLACE: Final = "-replace"
_FAILED_BEFORE: Final = "#initerror"  # pulumi/pulumi, step_generator.go: initErrorSpecialKey
_INVERSE: Final = {
    DiffKind.ADD: DiffKind.DELETE,
    DiffKind.DELETE: DiffKind.ADD,
    DiffKind.ADD_REPLACE: DiffKind.DELETE_REPLACE,
    DiffKind.DELETE_REPLACE: DiffKind.ADD_REPLACE,
}


def triggers(old: Any, new: Any) -> bool:
    """Whether a replacement trigger has changed; one that appears or goes does not replace."""
    if contains_unknown(old) or contains_unknown(new):
        return True
    return old is not None and new is not None and not same(old, new)


def is_replacement(diff: DiffResult) -> bool:
    """Whether the provider cannot make these changes in place."""
    kinds = (str(change.kind) for change in (diff.detailed or {}).values())
    return bool(diff.replaces) or any(kind.endswith(_REPLACE) for kind in kinds)


def inverted(diff: DiffResult) -> DiffResult:
    """Return a comparison seen from the other side: what was added is deleted."""
    if diff.detailed is None:
        return diff
    detailed = {
        path: replace(change, kind=_INVERSE.get(change.kind, change.kind))
        for path, change in diff.detailed.items()
    }
    return replace(diff, detailed=detailed)


def with_replace_on_changes(diff: DiffResult, texts: Sequence[str], *, failed_before: bool) -> DiffResult:
    """Turn changes below the given paths into replacements. Raises `ValueError` for what is no path.

    A resource whose last operation `failed_before` it was ready counts as changed at `#initerror`.
    """
    if not texts or not (diff.changes or failed_before):
        return diff
    paths = [parse_path(text) for text in texts]

    def forced(text: str) -> bool:
        return any(contains(path, parse_path(text)) for path in paths)

    detailed = diff.detailed
    if detailed is not None:
        detailed = {
            text: replace(change, kind=_to_replace(change.kind)) if forced(text) else change
            for text, change in detailed.items()
        }
    keys = [*diff.replaces, *(name for name in diff.diffs if forced(name) and name not in diff.replaces)]
    changes = diff.changes
    if failed_before and forced(_FAILED_BEFORE):
        changes = True
        keys.append(_FAILED_BEFORE)
        if detailed is not None:
            detailed[_FAILED_BEFORE] = PropertyDiff(kind=DiffKind.UPDATE_REPLACE)
    return replace(diff, changes=changes, replaces=keys, detailed=detailed)


def _to_replace(kind: DiffKind) -> DiffKind:
    text = str(kind)
    return kind if text.endswith(_REPLACE) else DiffKind(text + _REPLACE)
