"""Which stack a command line is about: read from Pulumi's words, so that no other one is ever touched."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = [
    "ORGANIZATION",
    "StackNameError",
    "asks_for_help",
    "named_stack",
    "needs_no_stack",
    "plain_name",
    "stack_file",
    "stack_files",
]

# pulumi/pulumi, sdk/go/common/tokens/stack.go: what a stack's name may be made of, and its length
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_FULL: Final = 3  # organization/project/stack
ORGANIZATION: Final = "organization"
"""The organization of every stack in a backend that is a folder."""
_EXAMPLE: Final = ".example"
# Pulumi's short options that take no value, and may stand before `-s` in one word.
_SWITCHES: Final = frozenset("yfrjedvh")
# Commands whose first word that is no option is the name of a stack.
_BY_NAME: Final = frozenset((("stack", "init"), ("stack", "select"), ("stack", "rm")))
# Commands that are about no stack.
_WITHOUT: Final = frozenset(
    (("stack", "ls"), ("version",), ("whoami",), ("about",), ("login",), ("logout",), ("plugin",), ("help",))
)


class StackNameError(Exception):
    """The words name no stack, or more than one; the message says what was found and what would be right."""


def plain_name(given: str, project: str) -> str:
    """Return a stack's name without organization and project. Raises `StackNameError`.

    `project` is the only project whose stacks are known here.
    """
    parts = given.split("/")
    name = parts[-1]
    known = len(parts) == 1 or (len(parts) == _FULL and parts[:2] == [ORGANIZATION, project])
    if not known or not _NAME.fullmatch(name) or set(name) == {"."}:
        raise StackNameError(
            f"--stack {given!r} is not a valid stack name: use at most 100 letters, digits, hyphens, dots "
            f"and underscores, such as lab or prod (in full: {ORGANIZATION}/{project}/lab)"
        )
    return name


def needs_no_stack(words: Sequence[str]) -> bool:
    """Whether Pulumi's words are about no stack at all."""
    return tuple(words[:2]) in _WITHOUT or tuple(words[:1]) in _WITHOUT or not words


def asks_for_help(words: Sequence[str]) -> bool:
    """Whether the words ask for help only."""
    return any(word in {"--help", "-h"} for word in words)


def named_stack(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the stack that Pulumi's words name, and the words without that. Raises `StackNameError`.

    A name that is an argument, as in `stack rm NAME`, stays among the words.
    """
    found: list[str] = []
    rest: list[str] = []
    words = list(words)
    while words:
        word = words.pop(0)
        if word == "--":
            rest += [word, *words]
            break
        value, before = _option(word, words)
        if value is not None:
            found.append(value)
        if before is not None:
            rest.append(before)
    if tuple(rest[:2]) in _BY_NAME:
        found += [word for word in rest[2:3] if not word.startswith("-")]
    if len(set(found)) > 1:
        raise StackNameError(f"two stacks are named, {' and '.join(dict.fromkeys(found))}: name one")
    return (found[0] if found else None), rest


def _option(word: str, following: list[str]) -> tuple[str | None, str | None]:
    """Return the stack that one word names, and what is left of the word."""
    name, equals, value = word.partition("=")
    if name == "--stack":
        return (value if equals else _next(word, following)), None
    if word.startswith("-") and not word.startswith("--"):
        for index, letter in enumerate(word[1:], 1):
            if letter == "s":
                value = word[index + 1 :].removeprefix("=")
                before = word[:index] if index > 1 else None
                return (value or _next(word, following)), before
            if letter not in _SWITCHES:
                break
    return None, word


def _next(word: str, following: list[str]) -> str:
    if not following:
        raise StackNameError(f"{word} needs a stack name after it")
    return following.pop(0)


def stack_file(folder: Path, stack: str) -> Path | None:
    """Return a stack's file in a folder: its own, or else the example of this name; None where none is."""
    paths = (folder / f"Pulumi.{stack}.yaml", folder / f"Pulumi.{stack}{_EXAMPLE}.yaml")
    return next((path for path in paths if path.exists()), None)


def stack_files(folder: Path) -> list[str]:
    """Return the names of the stacks that have a file, or an example, in a folder."""
    names = (path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in folder.glob("Pulumi.*.yaml"))
    return sorted({name.removesuffix(_EXAMPLE) for name in names})
