"""A review in one of its forms, cut to a number of bytes by importance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Final

from mesh.review import markdown, terminal
from mesh.review.blocks import Block, Bullets, Preformatted, Review, Table
from mesh.review.headline import NOTHING_CHANGES
from mesh.review.naming import count

__all__ = ["FORMS", "LIMIT", "as_markdown", "as_terminal"]

LIMIT: Final = 60_000
"""Bytes that fit into a comment on GitHub, which takes 65,536 characters."""

FORMS: Final = ("markdown", "terminal")
_RESERVE: Final = 600
"""Bytes for the note about what was left out."""
_SHORTEST: Final = 5
"""Lines of a block below which it is left out altogether."""
_NAMED: Final = 5
_ELSEWHERE: Final = "`pulumi preview --diff` shows everything; `mesh review --limit BYTES` shows more"


def as_markdown(review: Review, limit: int = LIMIT) -> str:
    """Return a review as Markdown of at most `limit` bytes."""
    return _Form(markdown, limit).write(review)


def as_terminal(review: Review, limit: int = LIMIT) -> str:
    """Return a review as plain text of at most `limit` bytes."""
    return _Form(terminal, limit).write(review)


@dataclass
class _Form:
    """Writes blocks while there is room."""

    words: ModuleType
    limit: int
    parts: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    used: int = 0

    def write(self, review: Review) -> str:
        counts = "" if review.headline == NOTHING_CHANGES else review.counts
        self._add(self.words.title(review.headline, counts))
        for section in review.sections:
            head = self.words.heading(section.heading)
            for each in section.blocks:
                text = self._fitting(each, self._room() - len(head.encode()))
                if text is None:
                    self.left_out.append(f"{each.title} ({count(len(_lines(each)), 'line')})")
                    continue
                self._add(head + text)
                head = ""
        if self.left_out:
            self._add(self.words.block(Bullets(title="", lines=list(self._note()))))
        return _cut("".join(self.parts).rstrip("\n") + "\n", self.limit)

    def _add(self, text: str) -> None:
        self.parts.append(text)
        self.used += len(text.encode())

    def _room(self) -> int:
        return self.limit - _RESERVE - self.used

    def _fitting(self, each: Block, room: int) -> str | None:
        """Return a block, or its first lines that there is room for; None if that is next to nothing."""
        whole: str = self.words.block(each)
        if len(whole.encode()) <= room:
            return whole
        lines = _lines(each)
        low, high = 0, len(lines)
        found = None
        while low < high:
            middle = (low + high + 1) // 2
            more = f"... {count(len(lines) - middle, 'more line')}, left out for want of room"
            text: str = self.words.block(each, lines[:middle], more)
            if len(text.encode()) <= room:
                low, found = middle, text
            else:
                high = middle - 1
        return found if low >= _SHORTEST else None

    def _note(self) -> Iterator[str]:
        named = "; ".join(_short(title) for title in self.left_out[:_NAMED])
        more = len(self.left_out) - _NAMED
        rest = f"; and {more} more" if more > 0 else ""
        yield f"left out, to stay below {self.limit} bytes: {named}{rest}. {_ELSEWHERE}."


def _short(title: str) -> str:
    return title if len(title) <= 80 else f"{title[:77]}..."


def _lines(each: Block) -> Sequence[str] | Sequence[Sequence[str]]:
    match each:
        case Table():
            return each.rows
        case Bullets() | Preformatted():
            return each.lines


def _cut(text: str, limit: int) -> str:
    """Keep to the limit also where it has no room for a head."""
    raw = text.encode()
    return text if len(raw) <= limit else raw[:limit].decode(errors="ignore")
