"""How new values are written: as their neighbours are."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mesh.edit.document import Entry, entries

__all__ = ["Style", "scalar", "style_of"]

# What every YAML parser, of version 1.1 too, reads as text without quotes.
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*\*?|[0-9]{1,3}(\.[0-9]{1,3}){3}")
_WORDS: Final = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
_QUOTES: Final = frozenset(("'", '"'))


@dataclass(frozen=True, kw_only=True)
class Style:
    """The look of a mapping: `quote` is around its keys and texts, None where plain text will do.

    `after_key` stands between a key and its value. `margin` is what the lines of a block begin with, None for
    a mapping in braces. `lists` are the keys whose lists are blocks, with what their lines begin with.
    """

    quote: str | None = None
    after_key: str = ": "
    margin: str | None = None
    lists: Mapping[str, str]
    newline: str = "\n"

    def mapping(self, values: Mapping[str, Any]) -> str:
        """Return keys and values as text that stands after a node's name and colon."""
        if self.margin is None:
            inside = ", ".join(f"{self.text(key)}{self.after_key}{self.value(values[key])}" for key in values)
            return f"{{{inside}}}"
        return "".join(self._line(key, value) for key, value in values.items())

    def _line(self, key: str, value: Any) -> str:
        start = f"{self.newline}{self.margin}{self.text(key)}:"
        if isinstance(value, Sequence) and not isinstance(value, str) and value and key in self.lists:
            return start + "".join(f"{self.newline}{self.lists[key]}{self.value(each)}" for each in value)
        return f"{start} {self.value(value)}"

    def value(self, value: Any) -> str:
        """Return one value on one line."""
        if isinstance(value, Mapping):
            return f"{{{', '.join(f'{self.text(key)}: {self.value(each)}' for key, each in value.items())}}}"
        if isinstance(value, Sequence) and not isinstance(value, str):
            return f"[{', '.join(self.value(each) for each in value)}]"
        return self.text(value) if isinstance(value, str) else json.dumps(value)

    def text(self, text: str) -> str:
        """Return a text as YAML, in quotes where its neighbours or its letters want that."""
        return scalar(text, self.quote)


def scalar(text: str, quote: str | None = None) -> str:
    """Return a text as YAML; with these quotes, or with double quotes if it needs any."""
    if quote is None and _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if quote == "'" and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text, ensure_ascii=False)


def style_of(text: str, like: Entry) -> Style:
    """Return the look of a node: `like` is its name and its settings."""
    newline = "\r\n" if "\r\n" in text else "\n"
    found = list(entries(like.value))
    quote = like.key.style if like.key.style in _QUOTES else None
    if not found or like.value.flow_style:
        between = text[found[0].key.end_mark.index : found[0].value.start_mark.index] if found else ": "
        plain = re.fullmatch(r":\s?", between) and "\n" not in between
        return Style(quote=quote, after_key=between if plain and quote else ": ", lists={}, newline=newline)
    return Style(
        quote=quote,
        margin=" " * int(found[0].key.start_mark.column),
        lists={
            str(each.key.value): " " * int(each.value.start_mark.column) + "- "
            for each in found
            if getattr(each.value, "flow_style", None) is False and isinstance(each.value.value, list)
        },
        newline=newline,
    )
