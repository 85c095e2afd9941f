"""Events of an operation, in the JSON form of Pulumi's event log (sdk/go/common/apitype/events.go)."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from lab.engine.deploy.steps import Op, Step
from lab.engine.state.checkpoint import dump_resource
from lab.engine.state.model import PROVIDER_PREFIX, ResourceState, urn_name
from lab.engine.values import ASSET_SIGNATURE, SIGNATURE, Secret, same, to_json

__all__ = ["Events", "is_default_provider"]

_COLOR: Final = "raw"


def is_default_provider(urn: str, type_: str) -> bool:
    """Whether this is a provider the engine made by itself; users do not count those."""
    return type_.startswith(PROVIDER_PREFIX) and urn_name(urn).split("_")[0] == "default"


class Events:
    """Sends events and counts what they say."""

    def __init__(self, emit: Callable[[dict[str, Any]], None], *, planning: bool) -> None:
        self._emit = emit
        self._planning = planning
        self._sequence = 0
        self._began = time.monotonic()
        self._olds: dict[str, tuple[ResourceState | None, dict[str, Any] | None]] = {}
        """What events say of the old records of steps that have begun, by URN."""
        self.changes: dict[str, int] = {}
        """Operation -> number of resources, as the summary counts."""

    def _send(self, **event: Any) -> None:
        self._sequence += 1
        self._emit({"sequence": self._sequence, "timestamp": int(time.time()), **event})

    def prelude(self, config: Mapping[str, str], secret_keys: frozenset[str]) -> None:
        """The operation begins."""
        shown = {key: "[secret]" if key in secret_keys else value for key, value in config.items()}
        self._send(preludeEvent={"config": shown})

    def begin(self, step: Step) -> None:
        """A step begins."""
        event = {"metadata": self._metadata(step), **self._mode()}
        self._send(resourcePreEvent=event, records=partial(_records, step.old, step.new))

    def done(self, step: Step, new: ResourceState | None = None) -> None:
        """A step, or the registration of outputs, has ended well."""
        event = {"metadata": self._metadata(step, new), **self._mode()}
        self._olds.pop(step.urn, None)
        self._send(resOutputsEvent=event, records=partial(_records, step.old, new or step.new))

    def failed(self, step: Step) -> None:
        """A step has failed."""
        self._send(resOpFailedEvent={"metadata": self._metadata(step), "status": 0, "steps": 0})

    def count(self, step: Step, after: ResourceState | None) -> None:
        """Count a step that has ended well; a read only where other values were found than before."""
        if step.op == Op.READ and not _reads_other(step.old, after):
            return
        if step.logical and not is_default_provider(step.urn, step.resource.type):
            self.changes[step.op] = self.changes.get(step.op, 0) + 1

    def refreshed(self, step: Step, result: str, *, internal: bool, counted: bool) -> None:
        """A resource has been read; `counted` where reading is what the operation is for."""
        if not counted:
            self.done(step)
            return
        if not internal and not is_default_provider(step.urn, step.resource.type):
            self.changes[result] = self.changes.get(result, 0) + 1
        self.done(replace(step, op=result))

    def diagnostic(self, severity: str, message: str, urn: str = "", *, ephemeral: bool = False) -> None:
        """Say something to the user: debug, info, info#err, warning, error."""
        event: dict[str, Any] = {"message": message, "color": _COLOR, "severity": severity}
        if urn:
            event["urn"] = urn
        if ephemeral:
            event["ephemeral"] = True
        self._send(diagnosticEvent=event)

    def summary(self, *, failed: bool) -> None:
        """The operation has ended."""
        self._send(
            summaryEvent={
                "maybeCorrupt": False,
                "durationSeconds": int(time.monotonic() - self._began),
                "resourceChanges": dict(self.changes),
                "PolicyPacks": {},
                "isPreview": self._planning,
                "result": "failed" if failed else "succeeded",
            }
        )
        self._send(cancelEvent={})

    def _mode(self) -> dict[str, bool]:
        return {"planning": True} if self._planning else {}

    def _old(self, step: Step) -> tuple[ResourceState | None, dict[str, Any] | None]:
        """Return a step's old record, and what events say of it: the same when it begins and ends."""
        kept = self._olds.get(step.urn)
        if kept is None or kept[0] is not step.old:
            kept = self._olds[step.urn] = (step.old, _state(step.old))
        return kept

    def _metadata(self, step: Step, new: ResourceState | None = None) -> dict[str, Any]:
        detailed = step.detailed
        metadata = step.metadata()
        record, old = self._old(step)
        now = new or step.new
        metadata |= {
            "old": old,
            "new": old if now is record else _state(now),
            "detailedDiff": None
            if detailed is None
            else {
                path: {"diffKind": str(diff.kind), "inputDiff": diff.input_diff}
                for path, diff in detailed.items()
            },
        }
        if step.logical:
            metadata["logical"] = True
        if step.keys:
            metadata["keys"] = list(step.keys)
        if step.diffs:
            metadata["diffs"] = list(step.diffs)
        return metadata


def _reads_other(old: ResourceState | None, new: ResourceState | None) -> bool:
    return old is not None and new is not None and not same(old.outputs, new.outputs)


def _sealed(_secret: Secret) -> dict[str, Any]:
    """An event never carries a secret, encrypted or not."""
    return {}


def _elided(value: Any) -> Any:
    """Leave out what text assets hold, as Pulumi does in its events."""
    if isinstance(value, dict):
        whole = {name: _elided(item) for name, item in value.items()}
        if value.get(SIGNATURE) == ASSET_SIGNATURE and "text" in value:
            whole["text"] = "<contents elided>"
        return whole
    return [_elided(item) for item in value] if isinstance(value, list) else value


def _records(old: ResourceState | None, new: ResourceState | None) -> dict[str, Any]:
    """The full records, for displays in this process that ask for them; an event log does without."""
    return {
        "old": None if old is None else dump_resource(old, _sealed),
        "new": None if new is None else dump_resource(new, _sealed),
    }


def _state(state: ResourceState | None) -> dict[str, Any] | None:
    if state is None:
        return None
    return {
        "type": state.type,
        "urn": state.urn,
        "custom": state.custom,
        "delete": state.delete,
        "id": state.id if isinstance(state.id, str) else "",
        "parent": state.parent,
        "protect": state.protect,
        "retainOnDelete": state.retain_on_delete,
        "inputs": _elided(to_json(state.inputs, _sealed)),
        "outputs": _elided(to_json(state.outputs, _sealed)),
        "provider": state.provider,
        "initErrors": state.init_errors,
        "hideDiffs": state.hide_diff,
    }
