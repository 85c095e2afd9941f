"""Keeping a stack's state while a run changes it: a line of the journal for each save, whole at the end."""

from collections.abc import Sequence

from lab.engine.cli.context import Stack
from lab.engine.state.checkpoint import Checkpoint
from lab.engine.state.journal_file import JournalFile
from lab.engine.state.model import Change, Snapshot

__all__ = ["Keeper"]


class Keeper:
    """Keeps the state of a stack that the caller holds; both calls raise `OSError` where the disk is full."""

    _journal: JournalFile | None = None

    def __init__(self, stack: Stack, checkpoint: Checkpoint, base: Snapshot, *, as_written: bool) -> None:
        """`base` is what the run begins with; `as_written` says that the state's file has just that.

        Otherwise a journal that a killed run left, or another salt, goes into the file first.
        """
        self._stack = stack
        self._checkpoint = checkpoint
        self._unwritten = None if as_written else base

    def append(self, changes: Sequence[Change]) -> None:
        """Add a line to the journal, which begins with the first."""
        if self._journal is None:
            if self._unwritten is not None:
                self.whole(self._unwritten)
            self._journal = self._stack.journal(self._checkpoint.head())
        self._journal.append(self._checkpoint.line(changes))

    def whole(self, snapshot: Snapshot) -> None:
        """Write the state's file anew; the journal is over."""
        self._stack.write(self._checkpoint.encode(snapshot))
        self._unwritten = None
        if self._journal is not None:
            self._journal.close()
            self._journal = None
