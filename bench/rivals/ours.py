"""This project: one `up` with the lab's engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.fleet import Fleet
from bench.operators import Operator
from bench.rivals.rival import Rival

__all__ = ["RIVAL"]


class _Up:
    def __init__(self, fleet: Fleet, operator: Operator) -> None:
        self._fleet = fleet
        self._operator = operator

    def target(self, count: int) -> None:
        """The servers were made from the stack file, which has the nodes."""

    def converge(self) -> None:
        """Run `up`."""
        self._fleet.converge(self._operator.words)


@contextmanager
def _prepared(fleet: Fleet, operator: Operator) -> Iterator[_Up]:
    yield _Up(fleet, operator)


RIVAL: Final = Rival(name="ours", title="ours", of=_prepared)
