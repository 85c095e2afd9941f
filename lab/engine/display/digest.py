"""A preview as one JSON document (`preview --json`)."""

import time
from collections.abc import Mapping
from typing import Any

from lab.engine.deploy.events import is_default_provider
from lab.engine.deploy.steps import Op
from lab.engine.state.model import STACK_TYPE

__all__ = ["Digest"]


class Digest:
    """Collects events; `document` is what is printed at the end."""

    def __init__(self) -> None:
        self._began = time.monotonic_ns()
        self._config: Mapping[str, str] = {}
        self._steps: dict[tuple[str, str], dict[str, Any]] = {}
        self._diagnostics: list[dict[str, Any]] = []
        self._changes: Mapping[str, int] = {}

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event."""
        if "preludeEvent" in event:
            self._config = event["preludeEvent"]["config"]
        elif "resourcePreEvent" in event:
            self._begin(event)
        elif "resOutputsEvent" in event:
            metadata = event["resOutputsEvent"]["metadata"]
            step = self._steps.get((metadata["op"], metadata["urn"]))
            if step is not None and event["records"]["new"] is not None:
                step["newState"] = event["records"]["new"]
        elif "diagnosticEvent" in event and event["diagnosticEvent"]["severity"] != "debug":
            diagnostic = event["diagnosticEvent"]
            self._diagnostics.append(
                {k: diagnostic[k] for k in ("urn", "message", "severity") if k in diagnostic}
            )
        elif "summaryEvent" in event:
            self._changes = event["summaryEvent"]["resourceChanges"]

    def _begin(self, event: Mapping[str, Any]) -> None:
        metadata = event["resourcePreEvent"]["metadata"]
        half = not metadata.get("logical") and metadata["op"] != Op.REFRESH
        if is_default_provider(metadata["urn"], metadata["type"]) or half:
            return
        if metadata["op"] == "same" and metadata["type"] != STACK_TYPE and not _protection_changes(metadata):
            return
        step = {"op": metadata["op"], "urn": metadata["urn"], "provider": metadata["provider"]}
        records = {"oldState": event["records"]["old"], "newState": event["records"]["new"]}
        step |= {name: record for name, record in records.items() if record is not None}
        if metadata.get("diffs"):
            step["diffReasons"] = metadata["diffs"]
        if metadata.get("keys"):
            step["replaceReasons"] = metadata["keys"]
        if metadata.get("detailedDiff"):
            step["detailedDiff"] = metadata["detailedDiff"]
        self._steps[metadata["op"], metadata["urn"]] = step

    def document(self) -> dict[str, Any]:
        """Return the whole preview."""
        return {
            "config": dict(self._config),
            "steps": list(self._steps.values()),
            "diagnostics": self._diagnostics,
            "duration": time.monotonic_ns() - self._began,
            "changeSummary": dict(self._changes),
        }


def _protection_changes(metadata: Mapping[str, Any]) -> bool:
    """Whether the one thing that changes is whether a resource is protected."""
    old, new = metadata.get("old") or {}, metadata.get("new") or {}
    return bool(old.get("protect")) != bool(new.get("protect"))
