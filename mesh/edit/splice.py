"""Changes of a text that leave the rest of it as it is: an entry more, an entry less, another word."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from mesh.edit.document import Entry, end_of, end_of_entry, entries, items
from mesh.edit.errors import EditError
from mesh.edit.style import scalar

__all__ = ["Splice", "applied", "by_hand", "entry_after", "item_after", "reworded", "without"]

_COMMENT: Final = re.compile(r"[ \t]*#")


@dataclass(frozen=True, order=True)
class Splice:
    """The text between two places, and what stands there afterwards."""

    start: int
    end: int
    new: str


def applied(text: str, splices: Iterable[Splice]) -> str:
    """Return the text with all of these changes, which do not overlap."""
    for each in sorted(splices, reverse=True):
        text = text[: each.start] + each.new + text[each.end :]
    return text


def by_hand(node: Node) -> EditError:
    """Return the error for a layout that is not edited here."""
    return EditError(f"line {node.start_mark.line + 1} has a layout that is not edited here: edit it by hand")


def reworded(text: str, node: Node, name: str) -> Splice:
    """Put another name where one stands, in the same quotes."""
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    written = text[start:end]
    quote = node.style if isinstance(node, ScalarNode) and node.style in {"'", '"'} else None
    if quote is None and (written != node.value):  # an anchor, a tag
        raise by_hand(node)
    return Splice(start, end, scalar(name, quote))


def entry_after(text: str, mapping: MappingNode, last: Entry, written: str) -> Iterable[Splice]:
    """Put the text of an entry behind another one of the same mapping."""
    if mapping.flow_style:
        return _after_in_braces(text, mapping, last, written)
    margin = _margin(text, last.key)
    place = _end_of_block(text, end_of_entry(text, last), len(margin))
    newline = _newline(text)
    if place == len(text) and not text.endswith("\n"):
        return [Splice(place, place, f"{newline}{margin}{written}")]
    return [Splice(place, place, f"{margin}{written}{newline}")]


def _after_in_braces(text: str, mapping: MappingNode, last: Entry, written: str) -> Iterable[Splice]:
    found = list(entries(mapping))
    index = next(number for number, each in enumerate(found) if each.key is last.key)
    if index + 1 < len(found):
        start = int(found[index + 1].key.start_mark.index)
        before = text[:start]
        blank = before[len(before.rstrip()) :] or " "
        return [Splice(start, start, f"{written},{blank}")]
    first = int(found[0].key.start_mark.index)
    blank = text[int(mapping.start_mark.index) + 1 : first]
    end = end_of_entry(text, last)
    comma = re.match(r"\s*,", text[end:])
    if "\n" not in blank or blank.strip():
        return [Splice(end, end, f", {written}")]
    if comma is None:
        line = _line_end(text, end)
        return [Splice(end, line, f",{text[end:line]}{blank}{written}")]
    line = _line_end(text, end + comma.end())
    return [Splice(line, line, f"{blank}{written},")]


def item_after(text: str, owner: Any, written: str) -> Iterable[Splice]:
    """Put one more item behind the last one of a list."""
    last = items(owner)[-1]
    end = end_of(text, last)
    if owner.flow_style:
        return [Splice(end, end, f", {written}")]
    start = text.rfind("\n", 0, last.start_mark.index) + 1
    margin, line = text[start : last.start_mark.index], _line_end(text, end)
    if not re.fullmatch(r"[ \t]*-[ ]+", margin):
        raise by_hand(last)
    return [Splice(line, line, f"{_newline(text)}{margin}{written}")]


def without(text: str, collection: Any, place: int) -> Splice:
    """Take an entry, or an item of a list, out of a collection that has others beside."""
    parts = [(each.key, each.value) for each in entries(collection)] or [
        (each, each) for each in items(collection)
    ]
    head, tail = parts[place]
    if collection.flow_style:
        return _without_in_braces(text, parts, place)
    start = text.rfind("\n", 0, head.start_mark.index) + 1
    margin = text[start : head.start_mark.index]
    marked = re.fullmatch(r"[ \t]*(-\s+)?", margin)
    if marked is None or bool(marked[1]) is not (head is tail):
        raise by_hand(head)
    end = _end_of_block(
        text, _part_end(text, (head, tail)), len(margin.rstrip(" -")) if marked[1] else len(margin)
    )
    if end == len(text) and not text.endswith("\n") and start:
        start -= 2 if text[start - 2 : start] == "\r\n" else 1
    return Splice(start, end, "")


def _without_in_braces(text: str, parts: list[tuple[Any, Any]], place: int) -> Splice:
    if place + 1 < len(parts):
        start, end = int(parts[place][0].start_mark.index), int(parts[place + 1][0].start_mark.index)
        line = text.rfind("\n", 0, start) + 1
        alone = not text[line:start].strip() and "\n" in text[start:end]
        if alone:  # a line of its own goes with the comment behind it
            return Splice(line, text.index("\n", _part_end(text, parts[place])) + 1, "")
        return Splice(start, end, "")
    start, end = _part_end(text, parts[place - 1]), _part_end(text, parts[place])
    comma = re.match(r"\s*,", text[end:])
    if comma is None or re.match(r"\s*,[ \t]*(#[^\n]*)?\n", text[start:]) is None:
        return Splice(start, end, "")
    line = text.rfind("\n", 0, parts[place][0].start_mark.index)
    return Splice(line, _line_end(text, end + comma.end()), "")


def _part_end(text: str, part: tuple[Any, Any]) -> int:
    return end_of(text, part[0]) if part[0] is part[1] else end_of_entry(text, Entry(*part))


def _margin(text: str, key: Node) -> str:
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    margin = text[start : key.start_mark.index]
    if margin.strip():
        raise by_hand(key)
    return margin


def _end_of_block(text: str, end: int, column: int) -> int:
    """Return where the lines of an entry end: with comments that stand further right than its key."""
    place = text.find("\n", end)
    place = len(text) if place < 0 else place + 1
    while place < len(text):
        line = text[place:].partition("\n")[0]
        if not _COMMENT.match(line) or len(line) - len(line.lstrip()) <= column:
            break
        place = min(place + len(line) + 1, len(text))
    return place


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line_end(text: str, place: int) -> int:
    """Return where the line of a place ends, before the end of the line itself."""
    end = text.find("\n", place)
    end = len(text) if end < 0 else end
    return end - 1 if text[end - 1 : end] == "\r" else end
