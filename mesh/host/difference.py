"""A difference between what a node is and what it should be, as an operator reads it."""

from __future__ import annotations

from .records import dataclass

__all__ = ["Difference"]


@dataclass(frozen=True)
class Difference:
    """What differs, how it is, and how it should be. Never holds a secret."""

    item: str
    live: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.item}: {self.live} instead of {self.wanted}"
