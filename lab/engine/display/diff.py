"""Properties and their differences as text; multi-line text is compared line by line."""

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from lab.engine.values import (
    ARCHIVE_SIGNATURE,
    ASSET_SIGNATURE,
    SECRET_SIGNATURE,
    SIGNATURE,
    UNKNOWN_SENTINEL,
)

__all__ = ["differences", "properties"]

_CONTEXT: Final = 3  # unchanged lines shown around a changed one
_MISSING: Final = object()
_HIDDEN: Final = {"__defaults", "__internal"}


def properties(values: Mapping[str, Any], sign: str, indent: int) -> Iterator[str]:
    """Show properties that are all new (`+`), all going (`-`) or all as they were (a space)."""
    names = sorted(name for name in values if name not in _HIDDEN)
    width = max((len(name) for name in names), default=0)
    for name in names:
        yield from _whole(name.ljust(width), values[name], sign, indent)


def differences(old: Mapping[str, Any], new: Mapping[str, Any], indent: int) -> Iterator[str]:
    """Show what differs between two sets of properties."""
    for name in sorted(old.keys() | new.keys()):
        if name not in _HIDDEN:
            yield from _change(name, old.get(name, _MISSING), new.get(name, _MISSING), indent)


def _line(sign: str, indent: int, text: str) -> str:
    return f"{' ' * (indent - 2)}{sign} {text}"


def _whole(label: str, value: Any, sign: str, indent: int) -> Iterator[str]:
    if isinstance(value, str) and "\n" in value:
        yield _line(sign, indent, f"{label}:")
        for line in value.rstrip("\n").split("\n"):
            yield _line(sign, indent + 4, line)
    elif isinstance(value, Mapping) and SIGNATURE not in value and value:
        yield _line(sign, indent, f"{label}: {{")
        yield from properties(value, sign, indent + 4)
        yield _line(sign, indent, "}")
    elif isinstance(value, list) and value:
        yield _line(sign, indent, f"{label}: [")
        for index, item in enumerate(value):
            yield from _whole(f"[{index}]", item, sign, indent + 4)
        yield _line(sign, indent, "]")
    else:
        yield _line(sign, indent, f"{label}: {_short(value)}")


def _change(label: str, old: Any, new: Any, indent: int) -> Iterator[str]:
    if old == new:
        # a secret's value is not in the event; that it changed is said by the list of properties
        return
    if old is _MISSING:
        yield from _whole(label, new, "+", indent)
    elif new is _MISSING:
        yield from _whole(label, old, "-", indent)
    elif isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        yield _line("~", indent, f"{label}:")
        yield from _lines(old, new, indent + 4)
    elif _is_plain_mapping(old) and _is_plain_mapping(new):
        yield _line("~", indent, f"{label}: {{")
        yield from differences(old, new, indent + 4)
        yield _line(" ", indent, "}")
    elif isinstance(old, list) and isinstance(new, list):
        yield _line("~", indent, f"{label}: [")
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else _MISSING
            after = new[index] if index < len(new) else _MISSING
            yield from _change(f"[{index}]", before, after, indent + 4)
        yield _line(" ", indent, "]")
    else:
        yield _line("~", indent, f"{label}: {_short(old)} => {_short(new)}")


_Opcodes = list[tuple[Literal["replace", "delete", "insert", "equal"], int, int, int, int]]


class _Slid(difflib.SequenceMatcher[str]):
    """Shows an inserted or removed block from its own first line on.

    Of several ways to place it among lines that repeat, the lowest is the one people mean: a block
    that starts with its heading rather than with the end of the block before.
    """

    def __init__(self, old: list[str], new: list[str]) -> None:
        super().__init__(None, old, new, autojunk=False)
        self._old, self._new = old, new

    def get_opcodes(self) -> _Opcodes:
        codes: _Opcodes = list(super().get_opcodes())
        for index in range(1, len(codes) - 1):
            tag, old_from, old_to, new_from, new_to = codes[index]
            text, low, high = (
                (self._new, new_from, new_to) if tag == "insert" else (self._old, old_from, old_to)
            )
            if tag not in {"insert", "delete"} or {codes[index - 1][0], codes[index + 1][0]} != {"equal"}:
                continue
            room = codes[index + 1][2] - codes[index + 1][1]
            by = 0
            while by < room and text[low + by] == text[high + by]:
                by += 1
            if by:
                self._shift(codes, index, by)
        return codes

    @staticmethod
    def _shift(codes: _Opcodes, index: int, by: int) -> None:
        before, (tag, *places), after = codes[index - 1 : index + 2]
        old_from, old_to, new_from, new_to = (place + by for place in places)
        codes[index - 1] = (before[0], before[1], before[2] + by, before[3], before[4] + by)
        codes[index] = (tag, old_from, old_to, new_from, new_to)
        codes[index + 1] = (after[0], after[1] + by, after[2], after[3] + by, after[4])


def _is_plain_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) and SIGNATURE not in value


def _lines(old: str, new: str, indent: int) -> Iterator[str]:
    before, after = old.split("\n"), new.split("\n")
    matcher = _Slid(before, after)
    first = True
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        if not first:
            yield _line(" ", indent, "...")
        first = False
        for tag, old_from, old_to, new_from, new_to in group:
            if tag == "equal":
                yield from (_line(" ", indent, line).rstrip() for line in before[old_from:old_to])
                continue
            yield from (_line("-", indent, line).rstrip() for line in before[old_from:old_to])
            yield from (_line("+", indent, line).rstrip() for line in after[new_from:new_to])


def _short(value: Any) -> str:
    if value == UNKNOWN_SENTINEL:
        return "[unknown]"
    if isinstance(value, Mapping):
        signature = value.get(SIGNATURE)
        if signature == SECRET_SIGNATURE:
            return "[secret]"
        if signature in {ASSET_SIGNATURE, ARCHIVE_SIGNATURE}:
            kind = "file" if value.get("path") else "text"
            return f"asset({kind}:{value.get('hash', '')[:7]}) {{ {value.get('path', '')} }}"
        return "{}"
    if isinstance(value, list):
        return "[]"
    return json.dumps(value, ensure_ascii=False)
