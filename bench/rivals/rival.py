"""What a rival must do to be measured."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from bench.fleet import Fleet
from bench.operators import Operator

__all__ = ["Rival", "Tool"]


class Tool(Protocol):
    """A tool that is ready to configure one fleet's hosts."""

    def target(self, count: int) -> None:
        """Have the first `count` nodes in the tool's own files. Not measured."""

    def converge(self) -> None:
        """Configure the hosts: one run of the tool. Measured. Raises `BenchError` when the run fails."""


@dataclass(frozen=True, kw_only=True)
class Rival:
    """One way to make a mesh.

    `name` is the key in the results, `title` the words of the page. `of` prepares a tool for a fleet; the
    tool's processes run in the operator's group.
    """

    name: str
    title: str
    of: Callable[[Fleet, Operator], AbstractContextManager[Tool]]
