"""What differs between two values, as Pulumi finds it for people (pulumi/pulumi, sdk/go/common/resource).

Values are JSON as in events: a secret is an object that holds nothing but its signature.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lab.engine.deploy.paths import parse_path
from lab.engine.values import SECRET_SIGNATURE, SIGNATURE, UNKNOWN_SENTINEL

__all__ = [
    "Changes",
    "ValueChange",
    "compare",
    "compare_objects",
    "is_object",
    "is_secret",
    "named_by_provider",
]

_MISSING: Final = object()
_INTERNAL: Final = "__"


@dataclass
class Changes:
    """The parts of an object (by name) or a list (by number)."""

    adds: dict[Any, Any] = field(default_factory=dict)
    deletes: dict[Any, Any] = field(default_factory=dict)
    sames: dict[Any, Any] = field(default_factory=dict)
    updates: dict[Any, "ValueChange"] = field(default_factory=dict)

    def any(self) -> bool:
        """Whether anything differs."""
        return bool(self.adds or self.deletes or self.updates)

    def keys(self) -> list[Any]:
        """Return all keys, sorted."""
        return sorted({*self.adds, *self.deletes, *self.sames, *self.updates})


@dataclass
class ValueChange:
    """One value that differs; `object` or `array` say where, if it does so inside."""

    old: Any = None
    new: Any = None
    array: Changes | None = None
    object: Changes | None = None


def is_secret(value: Any) -> bool:
    """Whether this is a secret."""
    return isinstance(value, Mapping) and value.get(SIGNATURE) == SECRET_SIGNATURE


def is_object(value: Any) -> bool:
    """Whether this is an object, and not one that stands for a secret, an asset or a reference."""
    return isinstance(value, Mapping) and SIGNATURE not in value


def compare(old: Any, new: Any) -> ValueChange | None:
    """Return how two values differ; None when they do not."""
    if isinstance(old, list) and isinstance(new, list):
        found = Changes(adds=dict(enumerate(new[len(old) :], len(old))))
        found.deletes = dict(enumerate(old[len(new) :], len(new)))
        for index, (before, after) in enumerate(zip(old, new, strict=False)):
            _put(found, index, before, compare(before, after))
        return ValueChange(old, new, array=found) if found.any() else None
    if is_object(old) and is_object(new):
        inside = compare_objects(old, new)
        return None if inside is None else ValueChange(old, new, object=inside)
    return None if type(old) is type(new) and old == new else ValueChange(old, new)


def compare_objects(old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes | None:
    """Return how two objects differ; None when they do not. What is null is not there."""
    found = Changes()
    for name, before in old.items():
        after = new.get(name, _MISSING)
        if name.startswith(_INTERNAL):
            continue
        if after is _MISSING or (after is None and before is not None):
            if before is not None:
                found.deletes[name] = before
        elif before is None and after is not None:
            found.adds[name] = after
        else:
            _put(found, name, before, compare(before, after))
    for name, after in new.items():
        if name not in old and after is not None and not name.startswith(_INTERNAL):
            found.adds[name] = after
    return found if found.any() else None


def _put(found: Changes, key: Any, same: Any, change: ValueChange | None) -> None:
    if change is None:
        found.sames[key] = same
    else:
        found.updates[key] = change


def named_by_provider(
    detailed: Mapping[str, Mapping[str, Any]], olds: Callable[[bool], Any], news: Callable[[bool], Any]
) -> Changes:
    """Return the differences a provider names by path (pkg/engine/detailedDiff.go).

    `olds` and `news` give the values on either side, for differences of inputs (True) or others.
    """
    root = ValueChange(object=Changes())
    for text, one in detailed.items():
        try:
            path: Iterable[str | int] = parse_path(text)
        except ValueError:
            path = [text]
        inputs = bool(one.get("inputDiff"))
        _insert(root, list(path), str(one["diffKind"]), olds(inputs), news(inputs))
    assert root.object is not None
    return root.object


def _insert(parent: ValueChange, path: list[str | int], kind: str, old_parent: Any, new_parent: Any) -> None:
    key = path[0]
    old, new = _child(old_parent, key), _child(new_parent, key)
    if isinstance(key, int):
        found = parent.array = parent.array or Changes()
    else:
        found = parent.object = parent.object or Changes()
    if len(path) > 1 and (old in (None, _MISSING)) == (new in (None, _MISSING)):
        inside = found.updates.setdefault(key, ValueChange())
        _insert(inside, path[1:], kind, old, new)
    elif len(path) > 1:
        if old in (None, _MISSING):
            found.adds[key] = new
        else:
            found.deletes[key] = old
    elif kind.startswith("add"):
        found.adds[key] = UNKNOWN_SENTINEL if new is _MISSING else new
    elif kind.startswith("delete"):
        found.deletes[key] = UNKNOWN_SENTINEL if old is _MISSING else old
    else:
        before, after = (None if value is _MISSING else value for value in (old, new))
        found.updates[key] = compare(before, after) or ValueChange(before, after)


def _child(value: Any, key: str | int) -> Any:
    if isinstance(value, list) and isinstance(key, int):
        return value[key] if 0 <= key < len(value) else _MISSING
    if is_object(value):
        return value.get(key, _MISSING)
    return value if is_secret(value) or value == UNKNOWN_SENTINEL else _MISSING
