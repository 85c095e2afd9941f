"""The progress of an operation on a terminal or in a log, and its summary."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TextIO

from lab.engine.deploy.events import is_default_provider
from lab.engine.display.changes import compare_objects
from lab.engine.display.full import SIGNS, FullView, outputs_text
from lab.engine.display.printer import Printer
from lab.engine.display.summary import summary_lines
from lab.engine.display.tree import Tree
from lab.engine.state.model import STACK_TYPE, urn_name

__all__ = ["Screen"]

_COLORS: Final = {"+": "32", "~": "33", "-": "31", "+-": "35", "++": "32", "--": "31", ">": "36", "<": "36"}
_STYLES: Final = {"+": "green", "~": "yellow", "-": "red", "+-": "magenta", "++": "green", "--": "red"}
_DOING: Final = {
    "create": ("creating", "created"), "update": ("updating", "updated"), "delete": ("deleting", "deleted"),
    "replace": ("replacing", "replaced"),
    "create-replacement": ("creating replacement", "created replacement"),
    "delete-replaced": ("deleting original", "deleted original"), "refresh": ("refreshing", "refreshed"),
    "remove-pending-replace": ("completing deletion", "completed deletion"),
}  # fmt: skip
# what is only read is no operation on a resource (pulumi/pulumi, pkg/backend/display/progress.go)
_READS: Final = {"read", "discard"}
_SEVERITY_COLORS: Final = {"error": "31", "warning": "33", "info": "0"}


class Screen:
    """Prints what the events say as they come. Colours only on a terminal and without NO_COLOR.

    `shortens` cuts long texts, `diff` shows every property.
    """

    def __init__(self, *, diff: bool, shortens: bool = True, out: TextIO | None = None) -> None:
        self._printer = Printer(indent=1, shortens=shortens)
        self._out = out or sys.stdout
        terminal = self._out.isatty()
        self._color = terminal and not os.environ.get("NO_COLOR")
        self._tree: Tree | None = None
        self._full = FullView(shortens=shortens) if diff else None
        if terminal and not diff and os.environ.get("TERM") != "dumb":
            self._tree = Tree()
            self._tree.start(self._out, _STYLES if self._color else {})
        self._began: dict[str, float] = {}
        self._diagnostics: list[tuple[str, str, str]] = []
        self._errors = 0
        self._summary: Mapping[str, Any] = {}
        self._stack: Mapping[str, Any] | None = None
        self._handlers: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "resourcePreEvent": self._begin,
            "resOutputsEvent": self._done,
            "resOpFailedEvent": self._failed,
            "diagnosticEvent": self._diagnostic,
            "summaryEvent": self._remember_summary,
        }

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event."""
        for name, handler in self._handlers.items():
            if name in event:
                handler(event[name])

    def _print(self, text: str = "") -> None:
        print(text, file=self._out, flush=True)

    def _print_block(self, text: str) -> None:
        for line in text.splitlines():
            self._print(self._paint_line(line))

    def _paint(self, text: str, color: str) -> str:
        return f"\033[{color}m{text}\033[0m" if self._color and color else text

    def _paint_line(self, line: str) -> str:
        sign = line.lstrip()[:2].strip()
        return self._paint(line, _COLORS.get(sign, ""))

    @staticmethod
    def _hidden(metadata: Mapping[str, Any]) -> bool:
        if metadata["op"] in _READS or is_default_provider(metadata["urn"], metadata["type"]):
            return True
        return bool(metadata["op"] == "same" or metadata["type"] == STACK_TYPE)

    def _label(self, metadata: Mapping[str, Any]) -> str:
        sign = SIGNS.get(metadata["op"], "  ")
        painted = self._paint(sign, _COLORS.get(sign.strip(), ""))
        return f" {painted} {metadata['type']} {urn_name(metadata['urn'])}"

    def _begin(self, event: Mapping[str, Any]) -> None:
        metadata = event["metadata"]
        self._began[metadata["urn"]] = time.monotonic()
        if self._full is not None:
            self._print_block(self._full.begins(event))
        elif self._tree is not None:
            self._grow(self._tree, event, begins=True)
        elif not self._hidden(metadata) and not event.get("planning"):
            self._print(f"{self._label(metadata)} {_DOING.get(metadata['op'], (metadata['op'],))[0]}...")

    def _done(self, event: Mapping[str, Any]) -> None:
        metadata = event["metadata"]
        if metadata["type"] == STACK_TYPE and metadata.get("new"):
            self._stack = metadata
        if self._full is not None:
            self._print_block(self._full.ends(event))
        elif self._tree is not None:
            self._grow(self._tree, event, begins=False)
        elif not self._hidden(metadata):
            self._print_end(metadata, planning=bool(event.get("planning")))

    def _print_end(self, metadata: Mapping[str, Any], *, planning: bool) -> None:
        if planning:
            if metadata.get("logical"):
                changed = f" [diff: {','.join(metadata['diffs'])}]" if metadata.get("diffs") else ""
                self._print(f"{self._label(metadata)} {metadata['op']}{changed}")
            return
        seconds = time.monotonic() - self._began.get(metadata["urn"], time.monotonic())
        words = _DOING.get(metadata["op"], (metadata["op"], metadata["op"]))
        self._print(f"{self._label(metadata)} {words[1]} ({abs(seconds):.1f}s)")

    def _grow(self, tree: Tree, event: Mapping[str, Any], *, begins: bool) -> None:
        """Show a step in the tree; in a preview its first half says it all."""
        metadata = event["metadata"]
        if is_default_provider(metadata["urn"], metadata["type"]) or metadata["op"] in _READS:
            return
        op = metadata["op"]
        sign = SIGNS.get(op, "").strip()
        if event.get("planning"):
            changed = f" [diff: {','.join(metadata['diffs'])}]" if metadata.get("diffs") else ""
            if begins and (op == "same" or metadata.get("logical")):
                tree.begin(metadata, sign, "" if op == "same" else f"{op}{changed}")
            return
        words = ("", "") if op == "same" else _DOING.get(op, (op, op))
        if begins:
            # a component is only a record: it is there at once, with or without outputs to come
            made = not (metadata.get("new") or metadata.get("old") or {}).get("custom")
            tree.begin(metadata, sign, words[1 if made else 0])
        else:
            tree.end(metadata, words[1], timed=True)

    def _failed(self, event: Mapping[str, Any]) -> None:
        metadata = event["metadata"]
        self._errors += 1
        if self._tree is not None:
            self._tree.end(metadata, "failed", timed=True)
        elif self._full is None:
            self._print(f"{self._label(metadata)} {self._paint('failed', '31')}")

    def _diagnostic(self, event: Mapping[str, Any]) -> None:
        severity = event["severity"].partition("#")[0]
        if severity == "debug":
            return
        message = _visible(event["message"].rstrip())
        if self._full is not None:
            # said at once and where it happens, what is ephemeral too
            label = "" if severity == "info" else self._paint(f"{severity}: ", _SEVERITY_COLORS[severity])
            print(f"{label}{message}", file=sys.stderr, flush=True)
            return
        if event.get("ephemeral"):
            return
        if self._tree is None and severity == "warning" and message.startswith("retrying "):
            self._print(f"    {urn_name(event['urn'])}: {message}")
        self._diagnostics.append((event.get("urn", ""), severity, message))

    def _remember_summary(self, event: Mapping[str, Any]) -> None:
        self._summary = event

    def finish(self) -> None:
        """Print outputs, diagnostics and the summary: what asks for a reader's attention comes last."""
        if self._tree is not None:
            self._tree.stop()
        if self._full is None:
            self._print_outputs()
            self._print_diagnostics()
            if self._summary:
                self._print()
        if self._summary:
            for line in summary_lines(self._summary, self._errors):
                self._print(self._paint_line(line))

    def _print_diagnostics(self) -> None:
        if not self._diagnostics:
            return
        self._print()
        self._print("Diagnostics:")
        previous = None
        for urn, severity, message in sorted(self._diagnostics, key=lambda item: item[0]):
            if urn != previous:
                name = (
                    f"{urn.split('::')[2].rpartition('$')[2]} ({urn_name(urn)})" if urn else "the operation"
                )
                self._print(f"  {name}:")
                previous = urn
            label = "" if severity == "info" else self._paint(f"{severity}: ", _SEVERITY_COLORS[severity])
            for index, line in enumerate(message.split("\n")):
                self._print(f"    {label if index == 0 else ''}{line}")

    def _print_outputs(self) -> None:
        """Show the stack's outputs: in a preview, and after a failure, only where something changes."""
        if self._stack is None:
            return
        old, new = self._stack["old"], self._stack["new"]
        failed = self._summary.get("result") == "failed"
        if failed and old and compare_objects(old["outputs"], new["outputs"]) is None:
            return
        text = outputs_text(
            self._stack, self._printer, planning=bool(self._summary.get("isPreview")) or failed
        )
        if text:
            self._print()
            self._print("Outputs:")
            self._print_block(text)


def _visible(text: str) -> str:
    r"""Return text with characters that a terminal would obey as `\x1b`: hosts said it, and anybody may have.

    Pulumi's display leaves them in.
    """
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)
