"""Nothing in a text that a terminal obeys or an eye does not see."""

import unicodedata
from typing import Final

__all__ = ["visible"]

_HIDDEN: Final = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Control characters, marks that turn the direction of writing, separators of lines."""


def visible(line: str) -> str:
    r"""Return a line in which a character that is not seen is written as `\u202e`; tabs stay."""
    if line.isascii() and line.isprintable():
        return line
    return "".join(
        char if char == "\t" or unicodedata.category(char) not in _HIDDEN else f"\\u{ord(char):04x}"
        for char in line
    )
