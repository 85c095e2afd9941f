"""The resources of an operation as a tree that is redrawn while it goes on, for terminals."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from lab.engine.state.model import urn_name

__all__ = ["Tree"]


@dataclass
class _Row:
    parent: str
    type: str
    name: str
    sign: str = ""
    status: str = ""
    began: float = 0.0
    seconds: float | None = None


class Tree:
    """Rows by URN. What does not change is shown only where something inside it does."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._live: Any = None

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

    def lines(self) -> list[tuple[str, str]]:
        """Return each line with its sign: branches, type, name, status, seconds."""
        wanted = {urn for urn, row in self._rows.items() if row.status}
        for urn in list(wanted):
            parent = self._rows[urn].parent
            while parent in self._rows and parent not in wanted:
                wanted.add(parent)
                parent = self._rows[parent].parent
        roots = [urn for urn in self._rows if urn in wanted and self._rows[urn].parent not in wanted]
        shown = [line for root in roots for line in self._walk(root, wanted, "", "")]
        width = max((len(label) for label, _ in shown), default=0)
        name_width = max((len(row.name) for _, row in shown), default=0)
        return [
            (
                f" {row.sign.ljust(2)} {label.ljust(width)}  {row.name.ljust(name_width)}  {_status(row)}",
                row.sign,
            )
            for label, row in shown
        ]

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
        from rich.text import Text  # noqa: PLC0415

        def draw() -> Text:
            text = Text(no_wrap=True, overflow="ellipsis")
            for line, sign in self.lines():
                text.append(line.rstrip() + "\n", style=colors.get(sign, ""))
            return text

        console = Console(file=out, force_terminal=True, no_color=not colors, highlight=False)
        self._live = Live(get_renderable=draw, console=console, refresh_per_second=5, transient=False)
        self._live.start()

    def stop(self) -> None:
        """Draw it for the last time."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def _status(row: _Row) -> str:
    if not row.status:
        return ""
    seconds = row.seconds
    if seconds is None and row.began and row.status.endswith("ing"):
        seconds = time.monotonic() - row.began
    return row.status if seconds is None else f"{row.status} ({seconds:.1f}s)"
