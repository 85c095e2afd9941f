"""What is wrong with a stack file, in words for the person who wrote it."""

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from pydantic_core import PydanticCustomError

__all__ = ["Problem", "SettingsError", "nearest", "nearest_of", "path_text", "refuse", "show"]

_SHOWN: Final = 60  # characters of a refused value that an error shows
# base64 of 32 bytes: every WireGuard key, private ones too
_KEY: Final = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{42}[AEIMQUYcgkosw480]=")
_WORDS: Final = {"None": "null", "True": "true", "False": "false"}  # as the stack file spells them
_ALIKE: Final = 0.7  # 1 is the same word
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake: its path in the stack file, and what was found and what would be right."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class SettingsError(Exception):
    """The stack file is refused; `problems` has every reason, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        super().__init__(f"the stack file has {count}:\n" + "\n".join(f"  {problem}" for problem in problems))


def refuse(message: str) -> PydanticCustomError:
    """Return an error whose message says all; the offending value is part of it where it may be shown."""
    return PydanticCustomError("mesh", "{text}", {"text": message})


def show(value: object) -> str:
    """Return a refused value as an error may show it: cut, on one line, never a private key."""
    text = value if isinstance(value, str) else _WORDS.get(str(value), repr(value))
    if "PRIVATE KEY" in text or _KEY.search(text):
        return "a value with a key in it (not shown)"
    text = " ".join(text.split())
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return repr(short) if isinstance(value, str) else short


def path_text(where: str, parts: Iterable[int | str]) -> str:
    """Return a path as messages write it: `mesh.nodes.web-1.public[0]`."""
    return where + "".join(
        f"[{part}]" if isinstance(part, int) else f".{part if _PLAIN.fullmatch(part) else show(part)}"
        for part in parts
    )


def nearest(word: object, known: Iterable[str]) -> str:
    """Return what to say about an unknown word: the nearest known one, or all of them."""
    words = list(known)
    near = nearest_of(str(word), words)
    if near is not None:
        return f"did you mean {near}?"
    if len(words) == 1:
        return f"the only known word is {words[0]}"
    return f"known are {', '.join(words)}" if words else "none is known"


def nearest_of(word: str, known: Collection[str]) -> str | None:
    """Return the known word that is near enough to be meant; None when none is."""
    # Ordinary slips of the hand: two letters swapped, one too many or too few. What is less alike misleads.
    for reduce in (str.lower, _letters):
        words = {reduce(each): each for each in known}
        given = reduce(word)
        swapped = [each for each in words if sorted(each) == sorted(given)]
        near = swapped or difflib.get_close_matches(given, words, n=1, cutoff=_ALIKE)
        if near:
            return words[near[0]]
    return None


def _letters(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower()) or word
