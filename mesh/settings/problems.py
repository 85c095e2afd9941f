"""What is wrong with a stack file, in words for the person who wrote it."""

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from pydantic_core import PydanticCustomError

from mesh.leaks import has_secret

__all__ = [
    "REMOVED",
    "Instead",
    "Problem",
    "SettingsError",
    "Told",
    "another_key",
    "another_value",
    "nearest",
    "nearest_of",
    "path_text",
    "refuse",
    "show",
]

_SHOWN: Final = 60  # characters of a refused value that an error shows
_WORDS: Final = {"None": "null", "True": "true", "False": "false"}  # as the stack file spells them
_ALIKE: Final = 0.7  # 1 is the same word
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Instead:
    """A remedy that can be applied literally at the place of a mistake.

    `value`: write this value there. `key`: give the key there this name. `remove`: take out what is there.
    """

    kind: Literal["value", "key", "remove"]
    write: object = None


REMOVED: Final = Instead("remove")
"""The remedy is to take out what is at the place."""


def another_value(*values: object) -> tuple[Instead, ...]:
    """Return the remedies that write one of these values; none that would repeat a secret."""
    return tuple(Instead("value", value) for value in values if not has_secret(str(value)))


def another_key(*names: str) -> tuple[Instead, ...]:
    """Return the remedies that give a key one of these names."""
    return tuple(Instead("key", name) for name in names)


@dataclass(frozen=True)
class Told:
    """What is said of a mistake, and what can be written instead."""

    text: str
    instead: tuple[Instead, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake: its path in the stack file, and what was found and what would be right.

    `place` is the path below the mesh, key by key; None where the mistake is elsewhere. `instead` has the
    remedies that can be applied literally: each of them is one way.
    """

    path: str
    message: str
    place: tuple[int | str, ...] | None = None
    instead: tuple[Instead, ...] = ()

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class SettingsError(Exception):
    """The stack file is refused; `problems` has every reason, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        super().__init__(f"the stack file has {count}:\n" + "\n".join(f"  {problem}" for problem in problems))


def refuse(message: str, *values: object) -> PydanticCustomError:
    """Return an error whose message says all; the offending value is part of it where it may be shown.

    Each of `values` can be written instead.
    """
    return PydanticCustomError("mesh", "{text}", {"text": message, "instead": another_value(*values)})


def show(value: object) -> str:
    """Return a refused value as an error may show it: cut, on one line, never a private key."""
    text = value if isinstance(value, str) else _WORDS.get(str(value), repr(value))
    if has_secret(text):
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
