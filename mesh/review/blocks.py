"""The parts of a review that any form can show: sentences, lists, tables, and text of files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Block", "Bullets", "Preformatted", "Review", "Section", "Table", "data"]

_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]*")


def data(text: str) -> str:
    """Return a name or a value from the preview for use in a sentence.

    Text between two backticks is shown as it is. Anything but a plain word is put between them.
    """
    return text if _PLAIN.fullmatch(text) and "//" not in text else f"`{text.replace('`', chr(39))}`"


@dataclass(frozen=True, kw_only=True)
class Bullets:
    """Sentences, one below the other; `title` names them when they are left out."""

    title: str
    lines: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of sentences below a header."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Preformatted:
    """Lines that are shown as they are, below a `caption` if there is one; `closed` ones may be folded away.

    `language` is `diff` where lines are marked by + and -.
    """

    title: str
    lines: Sequence[str]
    caption: str = ""
    language: str = ""
    closed: bool = False


Block = Bullets | Table | Preformatted


@dataclass(frozen=True, kw_only=True)
class Section:
    """Blocks below a heading."""

    heading: str
    blocks: Sequence[Block]


@dataclass(frozen=True, kw_only=True)
class Review:
    """A whole review: one sentence, the counts, and the sections, the most important first."""

    headline: str
    counts: str
    sections: Sequence[Section]
