"""The transcripts in README and guides are what really happens: their commands are run and compared."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.testing import REPOSITORY
from tests.system.world import World

pytestmark = pytest.mark.hosts

ANYTHING = "..."  # a line of its own: any lines; within a line: any text
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """One command of a guide, with the lines it is said to print."""

    command: str
    lines: tuple[str, ...]


def commands(text: str) -> Iterator[Shown]:
    """Every command of a guide's `console` blocks, in order."""
    for block in _BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.rstrip("\n").split("\n")
            yield Shown(command, tuple(line.rstrip() for line in lines))


def difference(shown: tuple[str, ...], printed: list[str]) -> str | None:
    """The first part of a guide that was not printed where it stands there; None when all is as shown."""
    position, anywhere = 0, False
    for part in _parts(shown):
        if part == (ANYTHING,):
            anywhere = True
            continue
        last = len(printed) - len(part)
        starts = range(position, (last if anywhere else min(position, last)) + 1)
        found = next((start for start in starts if _is(part, printed[start : start + len(part)])), None)
        if found is None:
            return "\n".join(part)
        position, anywhere = found + len(part), False
    return None if anywhere or position == len(printed) else printed[position]


def _parts(shown: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The lines between two that stand for anything, and those."""
    for anything, lines in itertools.groupby(shown, key=lambda line: line == ANYTHING):
        yield (ANYTHING,) if anything else tuple(lines)


def _is(part: tuple[str, ...], printed: list[str]) -> bool:
    return all(
        re.fullmatch(".*".join(re.escape(text) for text in line.split(ANYTHING)), found)
        for line, found in zip(part, printed, strict=True)
    )


def test_the_comparison_sees_a_line_that_is_missing_different_or_too_much() -> None:
    printed = ["one 1", "two", "three"]
    assert difference(("one ...", "...", "three"), printed) is None
    assert difference(("...",), printed) is None
    assert difference(("...", "four", "..."), printed) == "four"
    assert difference(("one 2", "..."), printed) == "one 2"
    assert difference(("...", "two"), printed) == "three"


@pytest.mark.parametrize("guide", ["README.md", pytest.param("docs/first-mesh.md", marks=pytest.mark.long)])
def test_a_guide_shows_what_happens(guide: str, tmp_path: Path) -> None:
    world = World(tmp_path)
    before = world.stack_file.read_text()
    try:
        for shown in commands((REPOSITORY / guide).read_text()):
            run = world.command("sh", "-c", shown.command)
            assert shown.lines or run.code == 0, f"$ {shown.command}\n{run.out}"
            missing = difference(shown.lines, [line.rstrip() for line in run.out.rstrip("\n").split("\n")])
            assert missing is None or not shown.lines, (
                f"$ {shown.command}\nhas no line\n{missing}\nin\n{run.out}"
            )
        assert world.stack_file.read_text() == before, "a guide leaves the stack file as it was"
    finally:
        world.end()
