"""Comparing texts line by line, as people and Pulumi place what was put in."""

import difflib
from typing import Literal

__all__ = ["LineMatcher", "Opcodes"]

Opcodes = list[tuple[Literal["replace", "delete", "insert", "equal"], int, int, int, int]]


class LineMatcher(difflib.SequenceMatcher[str]):
    """Shows an inserted or removed block from its own first line on.

    Of several ways to place it among lines that repeat, the lowest is the one people mean: a block
    that starts with its heading rather than with the end of the block before.
    """

    def __init__(self, old: list[str], new: list[str]) -> None:
        super().__init__(None, old, new, autojunk=False)
        self._old, self._new = old, new

    def get_opcodes(self) -> Opcodes:
        """Return what to do to get the new lines: tags, and ranges in the old and the new ones."""
        codes: Opcodes = list(super().get_opcodes())
        for index in range(1, len(codes) - 1):
            tag, old_from, old_to, new_from, new_to = codes[index]
            text, low, high = (
                (self._new, new_from, new_to) if tag == "insert" else (self._old, old_from, old_to)
            )
            if tag not in {"insert", "delete"} or {codes[index - 1][0], codes[index + 1][0]} != {"equal"}:
                continue
            room = codes[index + 1][2] - codes[index + 1][1]
            by = 0
            while by < room and text[low + by] == text[high + by]:
                by += 1
            if by:
                self._shift(codes, index, by)
        return codes

    @staticmethod
    def _shift(codes: Opcodes, index: int, by: int) -> None:
        before, (tag, *places), after = codes[index - 1 : index + 2]
        old_from, old_to, new_from, new_to = (place + by for place in places)
        codes[index - 1] = (before[0], before[1], before[2] + by, before[3], before[4] + by)
        codes[index] = (tag, old_from, old_to, new_from, new_to)
        codes[index + 1] = (after[0], after[1] + by, after[2], after[3] + by, after[4])
