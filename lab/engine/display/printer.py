"""Properties and their differences as text, as Pulumi prints them (pkg/backend/display/object_diff.go)."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml

from lab.engine.display.changes import Changes, ValueChange, compare, is_object, is_secret
from lab.engine.display.lines import LineMatcher
from lab.engine.values import ARCHIVE_SIGNATURE, ASSET_SIGNATURE, SIGNATURE, UNKNOWN_SENTINEL

__all__ = ["Printer", "is_worth_printing"]

_CONTEXT: Final = 2  # unchanged lines around changed ones
_MOST_LINES: Final = 3
_LONGEST_LINE: Final = 150
_ESCAPES: Final = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    '"': '\\"', "\\": "\\\\",
}  # fmt: skip
_Title = Callable[["Printer"], str]


@dataclass(frozen=True, kw_only=True)
class Printer:
    """Prints at one depth. `sign` is what stands before each line: two characters, or nothing.

    `shortens` cuts long lines and texts of many lines.
    """

    indent: int
    sign: str = ""
    shortens: bool = True

    def whole(self, values: Mapping[str, Any]) -> str:
        """Show an object's properties."""
        names = sorted(name for name in values if not name.startswith("__"))
        width = max((len(name) for name in names), default=0)
        return "".join(self.property(name, values[name], width) for name in names)

    def changes(self, found: Changes, only: Collection[str] | None = None) -> str:
        """Show what differs, and beside that what does not."""
        names = [name for name in found.keys() if only is None or name in only]  # noqa: SIM118 - sorted
        width = max((len(name) for name in names), default=0)
        return "".join(self.change(found, name, width) for name in names)

    def change(self, found: Changes, name: str, width: int) -> str:
        """Show one property of those that differ or do not."""

        def title(printer: Printer) -> str:
            return printer._title(name, width)

        if name in found.adds:
            return self._sided("+ ", found.adds[name], title)
        if name in found.deletes:
            return self._sided("- ", found.deletes[name], title)
        if name in found.updates:
            return self._update(found.updates[name], title)
        value = found.sames[name]
        return replace(self, sign="").property(name, value, width) if is_worth_printing(value) else ""

    # ---------------------------------------------------------------- lines

    def _start(self) -> str:
        margin = "    " * self.indent
        return margin[:-2] + self.sign if self.sign else margin

    def _bare(self) -> str:
        return "    " * self.indent

    def _inside(self, by: int = 1) -> "Printer":
        return replace(self, indent=self.indent + by)

    def _title(self, name: str, width: int) -> str:
        return f"{self._start()}{self._cut(name.ljust(width))}: "

    def property(self, name: str, value: Any, width: int) -> str:
        """Show one property whose name is filled up to a width."""
        return f"{self._title(name, width)}{self._value(value)}\n"

    # ---------------------------------------------------------------- values

    def _value(self, value: Any) -> str:
        if isinstance(value, list):
            return self._list(value)
        if isinstance(value, Mapping) and value.get(SIGNATURE) in {ASSET_SIGNATURE, ARCHIVE_SIGNATURE}:
            return self._asset(value)
        if is_object(value):
            if not value:
                return "{}"
            return f"{{\n{self._inside().whole(value)}{self._bare()}}}"
        return self._primitive(value)

    def _list(self, values: list[Any]) -> str:
        if not values:
            return "[]"
        items = "".join(
            f"{self._start()}    [{index}]: {self._inside()._value(value)}\n"
            for index, value in enumerate(values)
        )
        return f"[\n{items}{self._bare()}]"

    def _asset(self, value: Mapping[str, Any]) -> str:
        kind = "asset" if value[SIGNATURE] == ASSET_SIGNATURE else "archive"
        digest = str(value.get("hash", ""))[:7]
        if value.get("path"):
            return f"{kind}(file:{digest}) {{ {value['path']} }}"
        if value.get("uri"):
            return f"{kind}(uri:{digest}) {{ {value['uri']} }}"
        lines = "".join(f"{self._bare()}    {line}\n" for line in str(value.get("text", "")).split("\n"))
        return f"{kind}(text:{digest}) {{\n{lines}{self._bare()}}}"

    def _primitive(self, value: Any) -> str:
        if is_secret(value):
            return "[secret]"
        if value == UNKNOWN_SENTINEL:
            return "[unknown]"
        if isinstance(value, str):
            decoded = _decoded(value)
            if decoded is not None:
                return f"({decoded[1]}) {self._value(decoded[0])}\n"
            return _quoted(self._shortened(value))
        return "<null>" if value is None else json.dumps(value, default=str)

    def _cut(self, line: str) -> str:
        return f"{line[:_LONGEST_LINE]}..." if self.shortens and len(line) > _LONGEST_LINE else line

    def _shortened(self, text: str) -> str:
        lines = text.split("\n")
        if not self.shortens or len(lines) <= _MOST_LINES:
            return "\n".join(map(self._cut, lines))
        return "\n".join([*map(self._cut, lines[:_MOST_LINES]), "..."])

    # ---------------------------------------------------------------- differences

    def _sided(self, sign: str, value: Any, title: _Title) -> str:
        printer = replace(self, sign=sign)
        return f"{title(printer)}{printer._value(value)}\n"

    def _update(self, change: ValueChange, title: _Title) -> str:
        printer = replace(self, sign="~ ")
        if change.array is not None:
            return f"{title(printer)}[\n{printer._items(change.array)}{self._bare()}]\n"
        if change.object is not None:
            return f"{title(printer)}{{\n{printer._inside().changes(change.object)}{self._bare()}}}\n"
        olds, news = is_worth_printing(change.old), is_worth_printing(change.new)
        if olds and news and _is_primitive(change.old) and _is_primitive(change.new):
            return title(printer) + printer._from_to(change.old, change.new)
        text = self._sided("- ", change.old, title) if olds else ""
        return text + (self._sided("+ ", change.new, title) if news else "")

    def _items(self, found: Changes) -> str:
        deeper = self._inside(2)
        parts = []
        for index in found.keys():  # noqa: SIM118 - sorted

            def title(printer: Printer, index: int = index) -> str:
                return f"{printer._inside(-1)._start()}[{index}]: "

            if index in found.adds:
                parts.append(deeper._sided("+ ", found.adds[index], title))
            elif index in found.deletes:
                parts.append(deeper._sided("- ", found.deletes[index], title))
            elif index in found.updates:
                parts.append(deeper._update(found.updates[index], title))
            else:
                same = replace(deeper, sign="")
                parts.append(f"{title(same)}{same._value(found.sames[index])}\n")
        return "".join(parts)

    def _from_to(self, old: Any, new: Any) -> str:
        if not isinstance(old, str) or not isinstance(new, str) or UNKNOWN_SENTINEL in (old, new):
            return f"{self._primitive(old)} => {self._primitive(new)}\n"
        before, after = _decoded(old), _decoded(new)
        if before is not None and after is not None and before[0] != after[0]:
            kinds = before[1] if before[1] == after[1] else f"{before[1]} => {after[1]}"
            change = compare(before[0], after[0])
            assert change is not None
            return f"({kinds}) {self._update(change, lambda _printer: '')}"
        if "\n" not in old + new:
            return f"{_quoted(old)} => {_quoted(new)}\n"
        return "\n" + "".join(f"{line}\n" for line in self._inside()._lines(old, new))

    def _lines(self, old: str, new: str) -> Iterator[str]:
        """Show two texts line by line; blank lines and what is far from a change are left out."""
        before, after = old.split("\n"), new.split("\n")
        codes = LineMatcher(before, after).get_opcodes()
        for place, (tag, old_from, old_to, new_from, new_to) in enumerate(codes):
            if tag == "equal":
                lines = [line for line in before[old_from:old_to] if line.strip()]
                yield from self._around(lines, first=place == 0, last=place == len(codes) - 1)
                continue
            for sign, lines in (("- ", before[old_from:old_to]), ("+ ", after[new_from:new_to])):
                start = replace(self, sign=sign)._start()
                yield from (start + self._cut(line) for line in lines if line.strip())

    def _around(self, lines: list[str], *, first: bool, last: bool) -> Iterator[str]:
        at_one_end = first or last
        head = [] if first else lines[:_CONTEXT]
        tail = lines[-_CONTEXT:] if first or not last else []
        dots = len(lines) > (_CONTEXT + 1 if at_one_end else 2 * _CONTEXT + 1)
        shown = [*head, "...", *tail] if dots else lines
        yield from (self._bare() + self._cut(line) for line in shown)


def is_worth_printing(value: Any) -> bool:
    """Whether a value says anything: null and what is empty only clutter."""
    return value is not None and value not in ("", [], {})


def _is_primitive(value: Any) -> bool:
    return is_secret(value) or not isinstance(value, list | Mapping)


def _quoted(text: str) -> str:
    """Quote text as Go does (%q)."""
    return f'"{"".join(_ESCAPES.get(sign) or _coded(sign) for sign in text)}"'


def _coded(sign: str) -> str:
    if sign.isprintable():
        return sign
    number = ord(sign)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _decoded(text: str) -> tuple[Any, str] | None:
    """Return the object or list that a text is, as JSON or, in several lines, YAML; and which."""
    text = text.strip()
    found: Any = None
    kind = "json"
    try:
        found = json.loads(text)
    except ValueError:
        if "\n" not in text and "\r" not in text:
            return None
        kind = "yaml"
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError:
            return None
    return (_named(found), kind) if isinstance(found, list | dict) else None


def _named(value: Any) -> Any:
    """Return a YAML value with text as keys."""
    if isinstance(value, dict):
        return {str(key): _named(item) for key, item in value.items()}
    return [_named(item) for item in value] if isinstance(value, list) else value
