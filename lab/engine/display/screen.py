"""The progress of an operation on a terminal or in a log, and its summary."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TextIO

from lab.engine.deploy.events import is_default_provider
from lab.engine.display.diff import differences, properties
from lab.engine.display.tree import Tree
from lab.engine.state.model import STACK_TYPE, urn_name
from lab.engine.values import SECRET_SIGNATURE, SIGNATURE

__all__ = ["Screen", "output_lines"]

_SIGNS: Final = {
    "create": "+", "update": "~", "delete": "-", "replace": "+-", "create-replacement": "++",
    "delete-replaced": "--", "same": " ", "refresh": "~", "remove-pending-replace": "~",
}  # fmt: skip
_COLORS: Final = {"+": "32", "~": "33", "-": "31", "+-": "35", "++": "32", "--": "31"}
_STYLES: Final = {"+": "green", "~": "yellow", "-": "red", "+-": "magenta", "++": "green", "--": "red"}
_DOING: Final = {
    "create": ("creating", "created"), "update": ("updating", "updated"), "delete": ("deleting", "deleted"),
    "replace": ("replacing", "replaced"),
    "create-replacement": ("creating replacement", "created replacement"),
    "delete-replaced": ("deleting original", "deleted original"), "refresh": ("refreshing", "refreshed"),
    "remove-pending-replace": ("completing deletion", "completed deletion"),
}  # fmt: skip
_PLANNED: Final = {
    "create": "to create",
    "update": "to update",
    "delete": "to delete",
    "replace": "to replace",
}
_DONE: Final = {"create": "created", "update": "updated", "delete": "deleted", "replace": "replaced"}
# what is only read is no operation on a resource (pulumi/pulumi, pkg/backend/display/progress.go)
_READS: Final = {"read", "discard"}
_SEVERITY_COLORS: Final = {"error": "31", "warning": "33", "info": "0"}


class Screen:
    """Prints what the events say as they come. Colours only on a terminal and without NO_COLOR."""

    def __init__(self, *, diff: bool, out: TextIO | None = None) -> None:
        self._diff = diff
        self._out = out or sys.stdout
        terminal = self._out.isatty()
        self._color = terminal and not os.environ.get("NO_COLOR")
        self._tree: Tree | None = None
        if terminal and not diff and os.environ.get("TERM") != "dumb":
            self._tree = Tree()
            self._tree.start(self._out, _STYLES if self._color else {})
        self._began: dict[str, float] = {}
        self._diagnostics: list[tuple[str, str, str]] = []
        self._summary: Mapping[str, Any] = {}
        self._stack: tuple[Mapping[str, Any] | None, Mapping[str, Any]] | None = None
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

    def _paint(self, text: str, color: str) -> str:
        return f"\033[{color}m{text}\033[0m" if self._color and color else text

    @staticmethod
    def _hidden(metadata: Mapping[str, Any]) -> bool:
        if metadata["op"] in _READS:
            return True
        if is_default_provider(metadata["urn"], metadata["type"]):
            return True
        return bool(metadata["op"] == "same" or metadata["type"] == STACK_TYPE)

    def _label(self, metadata: Mapping[str, Any]) -> str:
        sign = _SIGNS.get(metadata["op"], " ")
        painted = self._paint(sign.ljust(2), _COLORS.get(sign, ""))
        return f" {painted} {metadata['type']} {urn_name(metadata['urn'])}"

    def _begin(self, event: Mapping[str, Any]) -> None:
        metadata = event["metadata"]
        self._began[metadata["urn"] + metadata["op"]] = time.monotonic()
        if self._tree is not None:
            self._grow(self._tree, event, begins=True)
            return
        if self._hidden(metadata):
            return
        if self._diff:
            if metadata.get("logical") or metadata["op"] == "create-replacement":
                self._show_diff(metadata)
        elif not event.get("planning"):
            self._print(f"{self._label(metadata)} {_DOING.get(metadata['op'], (metadata['op'],))[0]}...")

    def _done(self, event: Mapping[str, Any]) -> None:
        metadata = event["metadata"]
        if metadata["type"] == STACK_TYPE and metadata.get("new"):
            self._stack = (metadata.get("old"), metadata["new"]["outputs"])
        if self._tree is not None:
            self._grow(self._tree, event, begins=False)
            return
        if self._hidden(metadata) or self._diff:
            return
        if event.get("planning"):
            if metadata.get("logical"):
                changed = f" [diff: {','.join(metadata['diffs'])}]" if metadata.get("diffs") else ""
                self._print(f"{self._label(metadata)} {metadata['op']}{changed}")
            return
        seconds = time.monotonic() - self._began.get(metadata["urn"] + metadata["op"], time.monotonic())
        words = _DOING.get(metadata["op"], (metadata["op"], metadata["op"]))
        self._print(f"{self._label(metadata)} {words[1]} ({seconds:.1f}s)")

    def _grow(self, tree: Tree, event: Mapping[str, Any], *, begins: bool) -> None:
        """Show a step in the tree; in a preview its first half says it all."""
        metadata = event["metadata"]
        if is_default_provider(metadata["urn"], metadata["type"]) or metadata["op"] in _READS:
            return
        op = metadata["op"]
        if event.get("planning"):
            changed = f" [diff: {','.join(metadata['diffs'])}]" if metadata.get("diffs") else ""
            if begins and (op == "same" or metadata.get("logical")):
                tree.begin(metadata, _SIGNS.get(op, ""), "" if op == "same" else f"{op}{changed}")
            return
        words = ("", "") if op == "same" else _DOING.get(op, (op, op))
        if begins:
            # a component is only a record: it is there at once, with or without outputs to come
            made = not (metadata.get("new") or metadata.get("old") or {}).get("custom")
            tree.begin(metadata, _SIGNS.get(op, ""), words[1 if made else 0])
        else:
            tree.end(metadata, words[1], timed=True)

    def _failed(self, event: Mapping[str, Any]) -> None:
        metadata = event["metadata"]
        if self._tree is not None:
            self._tree.end(metadata, "failed", timed=True)
            return
        self._print(f"{self._label(metadata)} {self._paint('failed', '31')}")

    def _show_diff(self, metadata: Mapping[str, Any]) -> None:
        op = metadata["op"]
        sign = _SIGNS.get(op, " ")
        self._print(self._paint(f"    {sign.rjust(2)} {metadata['type']}: ({op})", _COLORS.get(sign, "")))
        old, new = metadata.get("old"), metadata.get("new")
        if old and old.get("id"):
            self._print(f"        [id={old['id']}]")
        self._print(f"        [urn={metadata['urn']}]")
        if op == "create" and new:
            lines = properties(new["inputs"], " ", 8)
        elif op in {"delete", "delete-replaced"} and old:
            lines = iter(())
        elif old and new:
            lines = differences(old["inputs"], new["inputs"], 8)
        else:
            lines = iter(())
        for line in lines:
            self._print(self._paint_line(line))
        for name in self._changed_secrets(metadata):
            self._print(self._paint_line(f"      ~ {name}: [secret] => [secret]"))

    @staticmethod
    def _changed_secrets(metadata: Mapping[str, Any]) -> list[str]:
        """Properties that changed although both sides look the same, as they are secret."""
        old, new = metadata.get("old"), metadata.get("new")
        if not old or not new:
            return []
        return [
            name
            for name in metadata.get("diffs") or ()
            if name in new["inputs"]
            and old["inputs"].get(name) == new["inputs"][name]
            and _has_secret(new["inputs"][name])
        ]

    def _paint_line(self, line: str) -> str:
        first = line.lstrip()[:1]
        return self._paint(line, _COLORS.get(first, "")) if line.lstrip()[1:2] == " " else line

    def _diagnostic(self, event: Mapping[str, Any]) -> None:
        if event["severity"] == "debug":
            return
        severity = event["severity"].partition("#")[0]
        if event.get("ephemeral"):
            return
        if self._tree is None and event["message"].startswith("retrying ") and severity == "warning":
            # said where it happens; the summary would only repeat it
            self._print(f"    {urn_name(event['urn'])}: {event['message']}")
            return
        self._diagnostics.append((event.get("urn", ""), severity, event["message"].rstrip()))

    def _remember_summary(self, event: Mapping[str, Any]) -> None:
        self._summary = event

    def finish(self) -> None:
        """Print diagnostics, outputs and the summary."""
        if self._tree is not None:
            self._tree.stop()
        self._print_diagnostics()
        preview = bool(self._summary.get("isPreview"))
        self._print_outputs()
        changes = self._summary.get("resourceChanges", {})
        if self._summary:
            self._print()
            self._print("Resources:")
            words = _PLANNED if preview else _DONE
            for op in ("create", "update", "replace", "delete"):
                if changes.get(op):
                    text = f"    {_SIGNS[op]} {changes[op]} {words[op]}"
                    self._print(self._paint(text, _COLORS[_SIGNS[op]]))
            if changes.get("same"):
                self._print(f"    {changes['same']} unchanged")
            if not preview:
                self._print()
                self._print(f"Duration: {self._summary['durationSeconds']}s")

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
            for index, line in enumerate(message.splitlines() or [""]):
                self._print(f"    {label if index == 0 else ''}{line}")

    def _print_outputs(self) -> None:
        if self._stack is None or not self._stack[1]:
            return
        old, new = self._stack
        before = (old or {}).get("outputs") or {}
        self._print()
        self._print("Outputs:")
        if before and before != new:
            for line in differences(before, new, 6):
                self._print(self._paint_line(line))
            if not any(True for _ in differences(before, new, 6)):
                self._print("    (secrets changed)")
            return
        for line in output_lines(new, 4 if before else 6, "" if before else "+"):
            self._print(line)


def output_lines(outputs: Mapping[str, Any], indent: int, sign: str) -> list[str]:
    """Return outputs as lines."""
    return list(properties(outputs, sign or " ", indent))


def _has_secret(value: Any) -> bool:
    if isinstance(value, Mapping):
        return value.get(SIGNATURE) == SECRET_SIGNATURE or any(_has_secret(item) for item in value.values())
    return isinstance(value, list) and any(_has_secret(item) for item in value)
