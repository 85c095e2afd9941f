"""A review as plain text, for a terminal."""

from collections.abc import Sequence

from mesh.review.blocks import Block, Bullets, Preformatted, Table
from mesh.said import visible

__all__ = ["block", "heading", "title"]


def _plain(sentence: str) -> str:
    return visible(sentence.replace("**", "").replace("`", ""))


def title(headline: str, counts: str) -> str:
    """Return the head of a review."""
    return f"{_plain(headline)}.\n" + (f"Resources: {_plain(counts)}.\n" if counts else "") + "\n"


def heading(text: str) -> str:
    """Return the heading of a section."""
    return f"{_plain(text)}\n{'-' * len(text)}\n"


def block(each: Block, lines: Sequence[str] | None = None, more: str = "") -> str:
    """Return a block; with the `lines` (or rows) that are to be shown of it, and the words for the rest."""
    rest = f"  {_plain(more)}\n\n" if more else "\n"
    match each:
        case Bullets():
            return "".join(f"  {_plain(line)}\n" for line in lines or each.lines) + rest
        case Table():
            return _table(each, len(each.rows) if lines is None else len(lines)) + rest
        case Preformatted():
            shown = each.lines if lines is None else lines
            caption = f"  {_plain(each.caption)}\n" if each.caption else ""
            return caption + "".join(f"    {visible(line)}".rstrip() + "\n" for line in shown) + rest


def _table(table: Table, length: int) -> str:
    rows = [[_plain(cell) for cell in row] for row in table.rows[:length]]
    wide = [max(len(row[column]) for row in rows) for column in range(2)]
    return "".join(f"  {source:{wide[0]}} -> {target:{wide[1]}} : {what}\n" for source, target, what in rows)
