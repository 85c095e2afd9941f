"""A preview as one JSON document (`preview --json`)."""

import time
from collections.abc import Mapping
from typing import Any

from lab.engine.deploy.events import is_default_provider
from lab.engine.deploy.steps import Op
from lab.engine.state.model import STACK_TYPE
from lab.engine.values import SECRET_SIGNATURE, SIGNATURE

__all__ = ["Digest"]

_WITHOUT_PREFIX = {"info", "info#err"}  # sdk/go/common/diag/sink.go, Stringify


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
            self._refreshed(event)
        elif "diagnosticEvent" in event:
            self._say(event["diagnosticEvent"])
        elif "summaryEvent" in event:
            self._changes = event["summaryEvent"]["resourceChanges"]

    def _say(self, diagnostic: Mapping[str, Any]) -> None:
        """Keep a message that is not only for the moment, with the word for what it is."""
        severity = diagnostic["severity"]
        if severity == "debug" or diagnostic.get("ephemeral"):
            return
        prefix = "" if severity in _WITHOUT_PREFIX else f"{severity}: "
        urn = {"urn": diagnostic["urn"]} if diagnostic.get("urn") else {}
        message = f"{prefix}{diagnostic['message']}"
        self._diagnostics.append(
            {**urn, "message": message if message.endswith("\n") else f"{message}\n", "severity": severity}
        )

    def _begin(self, event: Mapping[str, Any]) -> None:
        metadata = event["resourcePreEvent"]["metadata"]
        half = not metadata.get("logical") and metadata["op"] != Op.REFRESH
        if is_default_provider(metadata["urn"], metadata["type"]) or half:
            return
        if metadata["op"] == "same" and metadata["type"] != STACK_TYPE and not _protection_changes(metadata):
            return
        self._steps[metadata["op"], metadata["urn"]] = _step(event, "resourcePreEvent")

    def _refreshed(self, event: Mapping[str, Any]) -> None:
        """A refresh that found other values is shown as what the state would get."""
        metadata = event["resOutputsEvent"]["metadata"]
        key = (Op.REFRESH, metadata["urn"])
        found = metadata["op"] == "delete" or (metadata["op"] == "update" and metadata.get("detailedDiff"))
        if key in self._steps and found:
            self._steps[key] = _step(event, "resOutputsEvent")

    def document(self) -> dict[str, Any]:
        """Return the whole preview; a part that is empty is left out."""
        parts = {
            "config": dict(self._config),
            "steps": list(self._steps.values()),
            "diagnostics": self._diagnostics,
            "duration": time.monotonic_ns() - self._began,
            "changeSummary": dict(self._changes),
        }
        return {name: part for name, part in parts.items() if part}


def _step(event: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return one step (pkg/backend/display/json.go, getPreviewMetadataStep)."""
    metadata = event[kind]["metadata"]
    both = event["records"]()
    records = {"oldState": both["old"], "newState": both["new"]}
    detailed = metadata.get("detailedDiff")
    return {
        "op": metadata["op"],
        "urn": metadata["urn"],
        **({"provider": metadata["provider"]} if metadata["provider"] else {}),
        **{name: _masked(record) for name, record in records.items() if record is not None},
        **({"diffReasons": metadata["diffs"]} if metadata.get("diffs") else {}),
        **({"replaceReasons": metadata["keys"]} if metadata.get("keys") else {}),
        "detailedDiff": detailed
        and {
            path: {"kind": diff["diffKind"], "inputDiff": diff["inputDiff"]}
            for path, diff in detailed.items()
        },
    }


def _masked(value: Any) -> Any:
    """Return a value with a word in place of each secret."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            return "[secret]"
        return {name: _masked(each) for name, each in value.items()}
    return [_masked(each) for each in value] if isinstance(value, list) else value


def _protection_changes(metadata: Mapping[str, Any]) -> bool:
    """Whether the one thing that changes is whether a resource is protected."""
    old, new = metadata.get("old") or {}, metadata.get("new") or {}
    return bool(old.get("protect")) != bool(new.get("protect"))
