"""Property paths: `a.b[0]["c d"][*]`, as in ignore_changes and replace_on_changes."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from lab.engine.values import Secret

__all__ = ["Path", "contains", "parse_path", "reset"]

Path = Sequence[str | int]
_PART: Final = re.compile(
    r"""\.?(?P<name>[^.\[\]"]+)|\[(?P<index>\d+|\*)\]|\["(?P<quoted>(?:[^"\\]|\\.)*)"\]"""
)
_MISSING: Final = object()


def parse_path(text: str) -> Path:
    """Return the parts of a path: names, numbers, `*`. Raises `ValueError`."""
    parts: list[str | int] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            raise ValueError(f"{text!r} is not a property path")
        if match["index"] is not None:
            parts.append("*" if match["index"] == "*" else int(match["index"]))
        else:
            name = match["name"]
            parts.append(name if name is not None else re.sub(r"\\(.)", r"\1", match["quoted"]))
        position = match.end()
    return parts


def contains(outer: Path, inner: Path) -> bool:
    """Whether `inner` is `outer` or something inside it; `*` stands for any one part."""
    return len(outer) <= len(inner) and all(a in ("*", b) for a, b in zip(outer, inner, strict=False))


def reset(
    old: Any, new: Any, path: Path, *, old_secret: bool = False, new_secret: bool = False
) -> tuple[Any, bool]:
    """Return `new` with what is at `path` taken from `old`.

    The flag is False where that cannot be: no list changes its length, nothing is made on the way. The rules
    are those of sdk/go/common/resource/properties_path.go. `old_secret` and `new_secret` say that the values
    are inside of secrets.
    """
    if isinstance(new, Secret):
        inner, done = reset(old, new.value, path, old_secret=old_secret, new_secret=True)
        return Secret(inner), done
    if isinstance(old, Secret):
        return reset(old.value, new, path, old_secret=True, new_secret=new_secret)

    def taken(value: Any) -> Any:
        return Secret(value) if old_secret and not new_secret and not isinstance(value, Secret) else value

    def deeper(before: Any, after: Any) -> tuple[Any, bool]:
        return reset(before, after, path[1:], old_secret=old_secret, new_secret=new_secret)

    below = deeper if len(path) > 1 else lambda before, _: (taken(before), True)
    head = path[0]
    if head == "*":
        return _reset_each(old, new, below, leaf=len(path) == 1)
    if isinstance(head, int):
        return _reset_at(old, new, head, below, leaf=len(path) == 1)
    return _reset_named(old, new, head, below, leaf=len(path) == 1)


_Below = Callable[[Any, Any], tuple[Any, bool]]


def _reset_named(old: Any, new: Any, name: str, below: _Below, *, leaf: bool) -> tuple[Any, bool]:
    before = old.get(name, _MISSING) if isinstance(old, dict) else _MISSING
    if not isinstance(new, dict):
        return new, before is _MISSING if leaf else not isinstance(old, dict)
    after = new.get(name, _MISSING)
    if leaf:
        rest = {key: item for key, item in new.items() if key != name}
        return (rest if before is _MISSING else {**new, name: below(before, after)[0]}), True
    if not isinstance(old, dict):
        return new, False
    if after is _MISSING:
        return new, before is _MISSING
    found, done = below(None if before is _MISSING else before, after)
    return {**new, name: found}, done


def _reset_at(old: Any, new: Any, index: int, below: _Below, *, leaf: bool) -> tuple[Any, bool]:
    if not isinstance(old, list) or not isinstance(new, list):
        return new, not isinstance(old, list) and not isinstance(new, list)
    if index >= len(old) or index >= len(new):
        return new, leaf and index >= len(old) and index >= len(new)
    found, done = below(old[index], new[index])
    return [*new[:index], found, *new[index + 1 :]], done


def _reset_each(old: Any, new: Any, below: _Below, *, leaf: bool) -> tuple[Any, bool]:
    if isinstance(old, list) and isinstance(new, list):
        pairs = [below(before, after) for before, after in zip(old, new, strict=False)]
        fine = all(done for _, done in pairs) and len(old) == len(new)
        return [*(found for found, _ in pairs), *new[len(old) :]], fine
    if isinstance(old, dict) and isinstance(new, dict):
        if leaf:
            return {name: below(before, None)[0] for name, before in old.items()}, True
        changed = {name: below(old[name], new[name]) for name in old if name in new}
        fine = all(done for _, done in changed.values()) and old.keys() <= new.keys()
        return {**new, **{name: found for name, (found, _) in changed.items()}}, fine
    return new, leaf and isinstance(new, dict | list)
