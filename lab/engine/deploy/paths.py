"""Property paths: `a.b[0]["c d"][*]`, as in ignore_changes and replace_on_changes."""

import re
from collections.abc import Sequence
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


def _step(value: Any, part: str | int) -> Any:
    if isinstance(value, Secret):
        return _step(value.value, part)
    if isinstance(value, dict) and isinstance(part, str):
        return value.get(part, _MISSING)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return _MISSING


def _keys(value: Any) -> list[str | int]:
    if isinstance(value, Secret):
        return _keys(value.value)
    if isinstance(value, dict):
        return list(value)
    return list(range(len(value))) if isinstance(value, list) else []


def reset(old: Any, new: Any, path: Path) -> tuple[Any, bool]:
    """Return `new` with what is at `path` taken from `old`; the flag is False where no such place is."""
    if isinstance(new, Secret):
        inner, done = reset(old, new.value, path)
        return Secret(inner), done
    head, rest = path[0], path[1:]
    if head == "*":
        names = list(dict.fromkeys([*_keys(old), *_keys(new)]))
        done = True
        for name in names:
            new, fine = reset(old, new, [name, *rest])
            done = done and fine
        return new, done
    before = _step(old, head)
    if not rest:
        return _assign(new, head, before)
    after = _step(new, head)
    if after is _MISSING:
        # nothing on either side is nothing to restore; one that is gone cannot hold the old value
        return new, before is _MISSING
    inner, done = reset(None if before is _MISSING else before, after, rest)
    return _assign(new, head, inner)[0], done


def _assign(container: Any, part: str | int, value: Any) -> tuple[Any, bool]:
    if isinstance(container, dict) and isinstance(part, str):
        rest = {name: item for name, item in container.items() if name != part}
        return (rest if value is _MISSING else {**rest, part: value}), True
    if isinstance(container, list) and isinstance(part, int):
        if value is _MISSING:
            return container[:part] + container[part + 1 :], True
        if part <= len(container):
            return [*container[:part], value, *container[part + 1 :]], True
    return container, value is _MISSING
