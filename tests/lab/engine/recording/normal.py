"""What an engine did, without what chance decides: ids, folders, ports, durations."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["DELETES", "Normal"]

# pulumi/pulumi, sdk/go/common/resource/sig.go
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_CHANCE: Final = {"created", "modified", "sourcePosition", "stackTrace"}
_SORTED: Final = ("dependencies", "aliases", "replaceWith")
_PROVIDERS: Final = "pulumi:providers:"
_SILENT: Final = {"debug", "info#err"}  # the second is the program's stderr
DELETES: Final = {"delete", "delete-replaced", "discard", "discard-replaced", "remove-pending-replace"}


class Normal:
    """Puts placeholders in place of ids and folders; one object for one run of a case."""

    def __init__(self, folders: Mapping[Path, str]) -> None:
        self._folders = sorted(((str(path), name) for path, name in folders.items()), key=_longest_first)
        self._ids: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def see(self, record: Mapping[str, Any], *, planning: bool = False) -> None:
        """Give a record's id its placeholder; a preview's id may be another one later."""
        identifier, urn = record.get("id"), record["urn"]
        if not identifier or identifier == _UNKNOWN or identifier in self._ids:
            return
        if planning:
            self._ids[identifier] = "<id:preview>"
            return
        name = urn.split("::")[-1]
        if _PROVIDERS in urn:
            name = f"provider:{name}"
        self._counts[name] = self._counts.get(name, 0) + 1
        self._ids[identifier] = f"<id:{name}:{self._counts[name]}>"

    def text(self, text: str) -> str:
        """Return a text with placeholders."""
        for path, name in self._folders:
            text = text.replace(path, name)
        for identifier in sorted(self._ids, key=len, reverse=True):
            text = text.replace(identifier, self._ids[identifier])
        return text.replace(_UNKNOWN, "<unknown>")

    def lines(self, path: Path) -> list[str] | None:
        """Return a file's lines with placeholders; None when there is no such file."""
        return self.text(path.read_text()).splitlines() if path.exists() else None

    def value(self, value: Any) -> Any:
        """Return a value with placeholders, its secrets as `{"<secret>": value}`."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get(_SIGNATURE) != _SECRET:
            return {self.text(key): self.value(item) for key, item in value.items()}
        return {"<secret>": self.value(json.loads(value["plaintext"])) if "plaintext" in value else "?"}

    def message(self, message: str) -> str:
        """Return what a message says: without colors and, of a Python stack, the last line only."""
        text = re.sub(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m", "", self.text(message)).strip()
        if "Traceback (most recent call last)" in text or re.search(r'^\s*File "', text, re.MULTILINE):
            lines = [line.strip() for line in text.splitlines()]
            found = [line for line in lines if re.match(r"([\w.]*(Error|Exception|Exit|error))\b", line)]
            found = [line for line in found if not line.startswith("error: Program failed")]
            text = f"<python traceback> {found[-1] if found else ''}"
        text = re.sub(r"\bafter \d+(\.\d+)?m?s\b", "after <duration>", text)
        return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:<port>", text)

    def errors(self, output: str) -> list[str]:
        """Return the lines of a terminal that tell an error."""
        return [self.message(line) for line in output.splitlines() if line.startswith("error: ")]

    def record(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return one record of a state."""
        found = {key: self.value(value) for key, value in record.items() if key not in _CHANCE}
        for key in _SORTED:
            if isinstance(found.get(key), list):
                found[key] = sorted(found[key])
        properties = found.get("propertyDependencies")
        if isinstance(properties, dict):
            found["propertyDependencies"] = {
                key: sorted(urns or []) for key, urns in sorted(properties.items())
            }
        return found

    def state(self, exported: Mapping[str, Any]) -> dict[str, Any]:
        """Return a state that was exported with its secrets."""
        deployment = exported.get("deployment") or {}
        records = deployment.get("resources") or []
        for record in records:
            self.see(record)
        found: dict[str, Any] = {"resources": [self.record(record) for record in records]}
        pending = deployment.get("pending_operations")
        if pending:
            found["pending_operations"] = [
                {"type": item["type"], "resource": self.record(item["resource"])} for item in pending
            ]
        return found

    def plan(self, document: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the steps that `preview --json` prints."""
        reasons = ("diffReasons", "replaceReasons")
        return [
            {
                "op": step["op"],
                "urn": self.text(step["urn"]),
                **{key: sorted(step[key]) for key in reasons if step.get(key)},
            }
            for step in document.get("steps") or []
        ]

    def events(self, lines: Iterable[str]) -> dict[str, Any]:
        """Return what an event log tells: steps, what was done, what failed, what was said."""
        events = [json.loads(line) for line in lines if line.strip()]
        for event in events:
            self._see_all(event)
        found: dict[str, Any] = {"steps": [], "done": [], "failed": [], "changes": {}, "diagnostics": []}
        for event in events:
            self._add(found, event)
        return found

    def _see_all(self, event: Mapping[str, Any]) -> None:
        for kind in ("resourcePreEvent", "resOutputsEvent"):
            metadata = (event.get(kind) or {}).get("metadata") or {}
            for side in ("old", "new"):
                if metadata.get(side):
                    self.see(metadata[side], planning=bool(event[kind].get("planning")))

    def _add(self, found: dict[str, Any], event: Mapping[str, Any]) -> None:
        match event:
            case {"resourcePreEvent": {"metadata": {"type": str(kind)} as step}}:
                if kind.startswith(_PROVIDERS):
                    pair = [step["op"], self.text(step["urn"])]
                    found.setdefault("providerSteps", []).append(pair)
                else:
                    found["steps"].append(self._step(step))
            case {"resOutputsEvent": {"metadata": {"type": str(kind)} as step} as told}:
                if not kind.startswith(_PROVIDERS):
                    found["done"].append(self._done(step, planning=bool(told.get("planning"))))
            case {"resOpFailedEvent": {"metadata": step}}:
                found["failed"].append({"op": step["op"], "urn": self.text(step["urn"])})
            case {"summaryEvent": summary}:
                found["changes"] = dict(sorted((summary.get("resourceChanges") or {}).items()))
                found["result"] = summary.get("result")
            case {"diagnosticEvent": said}:
                found["diagnostics"] += self._said(said)

    def _step(self, step: Mapping[str, Any]) -> dict[str, Any]:
        found = {
            "op": step["op"],
            "urn": self.text(step["urn"]),
            "type": step["type"],
            "name": step["urn"].split("::")[-1],
        }
        for key, name in (("keys", "replaceKeys"), ("diffs", "diffs")):
            if step.get(key):
                found[name] = sorted(step[key])
        if step.get("detailedDiff"):
            found["detailedDiff"] = {
                path: {
                    "kind": diff.get("diffKind", diff.get("kind")),
                    "inputDiff": bool(diff.get("inputDiff")),
                }
                for path, diff in sorted(step["detailedDiff"].items())
            }
        if step.get("logical") is False:
            found["logical"] = False
        if _makes(step):
            found["inputs"] = self.value(step["new"].get("inputs") or {})
        return found

    def _done(self, step: Mapping[str, Any], *, planning: bool) -> dict[str, Any]:
        found = {"op": step["op"], "urn": self.text(step["urn"])}
        if planning and _makes(step):
            found["outputs"] = self.value(step["new"].get("outputs") or {})
        return found

    def _said(self, said: Mapping[str, Any]) -> list[dict[str, Any]]:
        message = said["message"]
        hidden = said["severity"] in _SILENT or said.get("ephemeral") or "from $PATH at" in message
        if hidden or not message.strip():
            return []
        urn = self.text(said.get("urn", ""))
        return [{"severity": said["severity"], "urn": urn, "message": self.message(message)}]


def _makes(step: Mapping[str, Any]) -> bool:
    return bool(step.get("new")) and step["op"] != "same" and step["op"] not in DELETES


def _longest_first(pair: tuple[str, str]) -> int:
    return -len(pair[0])
