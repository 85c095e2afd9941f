"""Every step with its properties, as Pulumi shows it with `--diff` (pkg/backend/display/diff.go)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from lab.engine.deploy.events import is_default_provider
from lab.engine.deploy.steps import Op
from lab.engine.display.changes import compare, compare_objects, named_by_provider
from lab.engine.display.printer import Printer, is_worth_printing
from lab.engine.state.model import STACK_TYPE, urn_name
from lab.engine.values import UNKNOWN_SENTINEL

__all__ = ["SIGNS", "FullView", "outputs_text"]

SIGNS: Final = {
    "same": "  ", "create": "+ ", "delete": "- ", "update": "~ ", "replace": "+-", "create-replacement": "++",
    "delete-replaced": "--", "read": "> ", "refresh": "~ ", "discard": "< ", "discard-replaced": "<<",
    "remove-pending-replace": "~ ",
}  # fmt: skip
_HALVES: Final = {Op.REPLACE, Op.CREATE_REPLACEMENT, Op.DELETE_REPLACED, Op.DISCARD_REPLACED}
_READS: Final = {Op.READ, Op.REFRESH}
_PLAIN_PROVIDER: Final = "default"
_RETAINED: Final = {Op.DELETE, Op.REPLACE, Op.CREATE_REPLACEMENT, Op.DELETE_REPLACED}


class FullView:
    """Turns events into text, one after the other."""

    def __init__(self, *, shortens: bool) -> None:
        self._seen: dict[str, Mapping[str, Any]] = {}
        self._printer = Printer(indent=0, shortens=shortens)

    def begins(self, event: Mapping[str, Any]) -> str:
        """Return what to show when a step begins."""
        metadata = event["metadata"]
        self._seen[metadata["urn"]] = metadata
        if metadata["op"] == Op.REFRESH or not _is_shown(metadata):
            return ""
        return self._step(metadata, refreshed=False)

    def ends(self, event: Mapping[str, Any]) -> str:
        """Return what to show when a step has ended, or outputs have been registered."""
        metadata, planning = event["metadata"], bool(event.get("planning"))
        if not _is_shown(metadata):
            return ""
        refreshed = self._seen.get(metadata["urn"], metadata)["op"] == Op.REFRESH
        if refreshed and metadata["op"] == Op.UPDATE:
            return self._step(metadata, refreshed=True)
        depth = self._depth(metadata)
        text = outputs_text(metadata, self._at(depth + 1), planning=planning, refreshed=refreshed)
        root = metadata["type"] == STACK_TYPE
        head = self._head(metadata) if refreshed and (metadata["op"] != Op.REFRESH or text or root) else ""
        return f"{head}{'    ' * (depth + 1)}--outputs:--\n{text}" if text else head

    def _at(self, indent: int) -> Printer:
        return replace(self._printer, indent=indent)

    def _step(self, metadata: Mapping[str, Any], *, refreshed: bool) -> str:
        details = "" if metadata["op"] == Op.SAME else self._details(metadata, refreshed=refreshed)
        return self._head(metadata) + details

    def _depth(self, metadata: Mapping[str, Any]) -> int:
        """Return how many of the step's parents are shown."""
        depth = 0
        parent = _either(metadata)["parent"]
        while parent in self._seen:
            depth += _is_shown(self._seen[parent])
            parent = _either(self._seen[parent])["parent"]
        return depth

    def _head(self, metadata: Mapping[str, Any]) -> str:
        depth, old, new = self._depth(metadata), metadata["old"], metadata["new"]
        bare, op = "    " * depth, metadata["op"]
        if old and old["retainOnDelete"] and op in _RETAINED:
            op += "[retain]"
        lock = ""
        if (new or {}).get("protect") or (old or {}).get("protect"):
            lock = " 🔒" if new is None or new["protect"] else " 🔓"
        lines = [f"{bare}{SIGNS[metadata['op']]}{metadata['type']}: ({op}){lock}"]
        if old and old["id"]:
            lines.append(f"{bare}    [id={old['id']}]")
        lines.append(f"{bare}    [urn={metadata['urn']}]")
        if metadata["provider"]:
            lines += _provider(metadata, bare)
        return "\n".join(lines) + "\n"

    def _details(self, metadata: Mapping[str, Any], *, refreshed: bool) -> str:
        old, new = metadata["old"], metadata["new"]
        printer = self._at(self._depth(metadata) + 1)
        if metadata.get("detailedDiff") is not None and old and new:
            found = named_by_provider(
                metadata["detailedDiff"],
                lambda inputs: old["inputs" if inputs else "outputs"],
                lambda inputs: new["outputs" if refreshed and not inputs else "inputs"],
            )
            if found.any():
                return printer.changes(found)
            return replace(printer, sign="  ").whole(old["inputs"])
        if old is None:
            return printer.whole(new["outputs"] or new["inputs"])
        if new is None:
            return printer.whole(old["inputs"])
        side, only = ("outputs", None) if new["outputs"] else ("inputs", metadata.get("diffs") or None)
        changes = compare_objects(old[side], new[side])
        if changes is None:
            return replace(printer, sign="  ").whole(new[side])
        return printer.changes(changes, only)


def outputs_text(
    metadata: Mapping[str, Any], printer: Printer, *, planning: bool, refreshed: bool = False
) -> str:
    """Show those outputs that say more than the inputs; where there were some before, those that changed.

    A run shows all outputs of the stack.
    """
    root = metadata["type"] == STACK_TYPE
    old, new = metadata["old"], metadata["new"] or {"inputs": {}, "outputs": {}}
    if (planning and not (root or refreshed or metadata["op"] in _READS)) or (old and old["initErrors"]):
        return ""
    values, everything = new["outputs"], root and not planning
    changes = compare_objects(old["outputs"], values) if old else None
    if changes is not None and planning and root:
        # what a preview cannot know is no news
        changes.updates = {n: c for n, c in changes.updates.items() if c.new != UNKNOWN_SENTINEL}
    if old and changes is None and not everything:
        return ""
    names = (
        sorted(name for name in values if not name.startswith("__")) if changes is None else changes.keys()
    )
    width, text = max(map(len, names), default=0), ""
    for name in names:
        told = not refreshed and name in new["inputs"] and not compare(values.get(name), new["inputs"][name])
        if told or (changes is not None and name in changes.sames and not everything):
            continue
        if changes is not None:
            text += printer.change(changes, name, width)
        elif is_worth_printing(values[name]):
            text += printer.property(name, values[name], width)
    return text


def _is_shown(metadata: Mapping[str, Any]) -> bool:
    if is_default_provider(metadata["urn"], metadata["type"]):
        return False
    if metadata["type"] == STACK_TYPE:
        return True
    old, new = metadata["old"], metadata["new"]
    if metadata["op"] == Op.SAME:
        return bool(old and new and old["protect"] != new["protect"])
    return bool(metadata.get("logical")) or metadata["op"] not in _HALVES


def _either(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = metadata["new"] or metadata["old"]
    return found


def _provider(metadata: Mapping[str, Any], bare: str) -> list[str]:
    old, new = metadata["old"], metadata["new"]
    if old and new and old["provider"] != new["provider"]:
        return [f"{bare}    [provider: {old['provider']} => {new['provider']}]"]
    urn = metadata["provider"].rpartition("::")[0]
    return [] if urn_name(urn) == _PLAIN_PROVIDER else [f"{bare}    [provider={metadata['provider']}]"]
