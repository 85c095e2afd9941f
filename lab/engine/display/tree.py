"""The resources of an operation as a tree that is redrawn while it goes on, for terminals."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TextIO

from lab.engine.state.model import urn_name

__all__ = ["Tree"]


_STATUS_COLUMNS: Final = 32  # signs, gaps and "creating replacement (123.4s)"
_NARROWEST: Final = 12


@dataclass
class _Row:
    parent: str
    type: str
    name: str
    sign: str = ""
    status: str = ""
    began: float = 0.0
    seconds: float | None = None

    def rank(self) -> tuple[int, float]:
        """Return what comes first: what failed, what is under way, what ended last."""
        if self.status == "failed":
            return 0, 0
        if self.status.endswith("ing") and self.seconds is None:
            return 1, -self.began
        return 2, -(self.began + (self.seconds or 0))


class Tree:
    """Rows by URN. What does not change is shown only where something inside it does."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._live: Any = None
        self._colors: Mapping[str, str] = {}

    def begin(self, metadata: Mapping[str, Any], sign: str, status: str) -> None:
        """A step has begun; without a status it leaves the resource as it is."""
        row = self._row(metadata)
        row.sign, row.status, row.began, row.seconds = sign, status, time.monotonic(), None

    def end(self, metadata: Mapping[str, Any], status: str, *, timed: bool) -> None:
        """A step has ended."""
        row = self._row(metadata)
        row.status = status
        if timed and status:
            row.seconds = time.monotonic() - row.began

    def _row(self, metadata: Mapping[str, Any]) -> _Row:
        urn = metadata["urn"]
        if urn not in self._rows:
            state = metadata.get("new") or metadata.get("old") or {}
            self._rows[urn] = _Row(state.get("parent", ""), metadata["type"], urn_name(urn))
        return self._rows[urn]

    def lines(self, width: int | None = None, height: int | None = None) -> list[tuple[str, str]]:
        """Return each line with its sign: branches, type, name, status, seconds.

        No more lines than `height`: what failed and what is under way is shown first, then what ended last.
        In `width` columns the status keeps its place; long types are cut.
        """
        wanted = self._with_parents(urn for urn, row in self._rows.items() if row.status)
        hidden = 0
        if height is not None and len(wanted) > height:
            shown = self._most_wanted(wanted, height - 1)
            hidden, wanted = len(wanted) - len(shown), shown
        roots = [urn for urn in self._rows if urn in wanted and self._rows[urn].parent not in wanted]
        rows = [line for root in roots for line in self._walk(root, wanted, "", "")]
        name_width = max((len(row.name) for _, row in rows), default=0)
        label_width = max((len(label) for label, _ in rows), default=0)
        if width is not None:
            label_width = max(_NARROWEST, min(label_width, width - name_width - _STATUS_COLUMNS))
        found = []
        for label, row in rows:
            head = f" {row.sign.ljust(2)} {_cut(label, label_width)}  {row.name.ljust(name_width)}"
            found.append((f"{head}  {_status(row)}", row.sign))
        return [*found, (f"    ... and {hidden} more", "")] if hidden else found

    def _with_parents(self, urns: Iterable[str]) -> set[str]:
        wanted = set(urns)
        for urn in list(wanted):
            parent = self._rows[urn].parent
            while parent in self._rows and parent not in wanted:
                wanted.add(parent)
                parent = self._rows[parent].parent
        return wanted

    def _most_wanted(self, wanted: set[str], count: int) -> set[str]:
        """Return those that say most now, with the parents they stand under."""
        shown: set[str] = set()
        for urn in sorted(wanted, key=lambda urn: self._rows[urn].rank()):
            more = self._with_parents({urn}) - shown
            if len(shown) + len(more) <= count:
                shown |= more
        return shown

    def _walk(self, urn: str, wanted: set[str], head: str, rest: str) -> Iterator[tuple[str, _Row]]:
        row = self._rows[urn]
        yield head + row.type, row
        inside = [other for other in self._rows if other in wanted and self._rows[other].parent == urn]
        for child in inside:
            last = child == inside[-1]
            yield from self._walk(
                child, wanted, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  ")
            )

    def start(self, out: TextIO, colors: Mapping[str, str]) -> None:
        """Draw it on a terminal, again and again until `stop`."""
        from rich.console import Console  # noqa: PLC0415 - needed on terminals only
        from rich.live import Live  # noqa: PLC0415

        def draw() -> Any:
            return self._text(console.width, console.height - 1)

        console = Console(file=out, force_terminal=True, no_color=not colors, highlight=False)
        self._colors = colors
        self._live = Live(get_renderable=draw, console=console, refresh_per_second=5, transient=True)
        self._live.start()

    def _text(self, width: int, height: int | None = None) -> Any:
        from rich.text import Text  # noqa: PLC0415 - needed on terminals only

        text = Text(no_wrap=True, overflow="ellipsis")
        for line, sign in self.lines(width, height):
            text.append(line.rstrip() + "\n", style=self._colors.get(sign, ""))
        return text

    def stop(self) -> None:
        """Draw it for the last time, whole."""
        if self._live is not None:
            console = self._live.console
            self._live.stop()
            self._live = None
            console.print(self._text(console.width))


def _cut(label: str, width: int) -> str:
    return label.ljust(width) if len(label) <= width else f"{label[: width - 1]}…"


def _status(row: _Row) -> str:
    if not row.status:
        return ""
    seconds = row.seconds
    if seconds is None and row.began and row.status.endswith("ing"):
        seconds = time.monotonic() - row.began
    return row.status if seconds is None else f"{row.status} ({seconds:.1f}s)"
