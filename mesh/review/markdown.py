"""A review as GitHub's Markdown: for a comment on a pull request."""

import html
import re
from collections.abc import Sequence
from typing import Final

from mesh.review.blocks import Block, Bullets, Preformatted, Table
from mesh.said import visible

__all__ = ["block", "heading", "inline", "title"]

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>&|~$#!])")
_CODE: Final = re.compile(r"`([^`]*)`")
_BOLD: Final = re.compile(r"^\*\*((?:`[^`]*`|[^`*])+)\*\*")
_FENCE: Final = re.compile(r"`{3,}")
_CALLS: Final = re.compile(r"(@|://?|www)", re.IGNORECASE)
_JOINER: Final = "\N{WORD JOINER}"  # not seen; after these, so that nobody is called and nothing is a link


def inline(sentence: str) -> str:
    """Return a sentence; what stands between backticks is code, what begins between ** is bold."""
    sentence = visible(sentence.replace("\n", " "))
    bold = _BOLD.match(sentence)
    if bold:
        return f"**{_spans(bold[1])}**{_spans(sentence[bold.end() :])}"
    return _spans(sentence)


def _spans(text: str) -> str:
    parts = _CODE.split(text)
    return "".join(_code(part) if index % 2 else _escaped(part) for index, part in enumerate(parts))


def _escaped(text: str) -> str:
    return _CALLS.sub(rf"\1{_JOINER}", _SPECIAL.sub(r"\\\1", text))


def _code(text: str) -> str:
    # a table takes | apart even in code, unless a backslash stands before it
    return f"`{text.replace('|', chr(92) + '|')}`" if text.strip() else ""


def title(headline: str, counts: str) -> str:
    """Return the head of a review."""
    lines = [f"## {inline(headline)}", ""]
    if counts:
        lines += [f"Resources: {inline(counts)}.", ""]
    return "\n".join(lines) + "\n"


def heading(text: str) -> str:
    """Return the heading of a section."""
    return f"### {inline(text)}\n\n"


def block(each: Block, lines: Sequence[str] | None = None, more: str = "") -> str:
    """Return a block; with the `lines` (or rows) that are to be shown of it, and the words for the rest."""
    match each:
        case Bullets():
            return "".join(f"- {inline(line)}\n" for line in lines or each.lines) + _rest(more)
        case Table():
            return _table(each, len(each.rows) if lines is None else len(lines)) + _rest(more)
        case Preformatted():
            return _preformatted(each, each.lines if lines is None else lines, more)


def _rest(more: str) -> str:
    return f"\n{inline(more)}\n\n" if more else "\n"


def _table(table: Table, length: int) -> str:
    rows = [table.header, ["---"] * len(table.header), *table.rows[:length]]
    cells = [[inline(cell) if index != 1 else cell for cell in row] for index, row in enumerate(rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def _preformatted(each: Preformatted, lines: Sequence[str], more: str) -> str:
    shown = [visible(line) for line in lines]
    longest = max((len(found) for line in shown for found in _FENCE.findall(line)), default=2)
    fence = "`" * max(3, longest + 1)
    text = "".join(f"{line}\n" for line in (f"{fence}{each.language}", *shown, fence))
    if each.closed:
        summary = _CALLS.sub(rf"\1{_JOINER}", html.escape(visible(each.caption).replace("`", "")))
        return f"<details>\n<summary>{summary}</summary>\n\n{text}{_rest(more)}</details>\n\n"
    caption = f"{inline(each.caption)}\n\n" if each.caption else ""
    return f"{caption}{text}{_rest(more)}"
