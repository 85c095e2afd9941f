"""Two recordings of a case, side by side."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

__all__ = ["differences"]

_OPERATIONS: Final = ("preview", "up", "destroy", "refresh", "cancel", "import", "command")
_ANY_ORDER: Final = ("done", "failed", "diagnostics")
_SHOWN: Final = 300
"""How many characters of a value are shown."""


def differences(expected: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what differs between what each step of a case should do and what it did."""
    if len(expected) != len(found):
        return [f"{len(expected)} steps expected, {len(found)} run"]
    told: list[str] = []
    for one, other in zip(expected, found, strict=True):
        where = f"step {one['step']}"
        for name in _OPERATIONS:
            if name in one:
                told += _operation(f"{where} {name}", one[name], other.get(name, {}))
        told += _value(f"{where} outputs", one["outputs"], other["outputs"])
        told += _value(f"{where} state", _by_urn(one["state"]), _by_urn(other["state"]))
        pending = "pending_operations"
        told += _value(f"{where} {pending}", one["state"].get(pending), other["state"].get(pending))
        if "files" in one:
            told += _value(f"{where} files", one["files"], other.get("files"))
    return told


def _operation(where: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    told = _value(f"{where}.rc", expected["rc"], found.get("rc"))
    if "steps" in expected:
        told += _steps(where, expected["steps"], found.get("steps", []), expected.get("unordered", []))
        for name in _ANY_ORDER:
            told += _value(f"{where}.{name}", _sorted(expected[name]), _sorted(found.get(name, [])))
        told += _value(f"{where}.changes", expected["changes"], found.get("changes"))
    if "json" in expected:
        told += _value(f"{where}.json", _sorted(expected["json"]), _sorted(found.get("json", [])))
    for name in ("error", "stdout"):
        told += _value(f"{where}.{name}", expected.get(name), found.get(name))
    return told


def _steps(where: str, expected: Sequence[Any], found: Sequence[Any], free: Sequence[Any]) -> list[str]:
    wanted, got = [_key(step) for step in expected], [_key(step) for step in found]
    if sorted(wanted) != sorted(got):
        missing = [f"{where}: expected step not seen: {key}" for key in wanted if key not in got]
        beyond = [f"{where}: unexpected step: {key}" for key in got if key not in wanted]
        return [*missing, *beyond] or [f"{where}: a step is there more often, or less often, than expected"]
    places: dict[str, list[int]] = {}
    for place, key in enumerate(got):
        places.setdefault(key, []).append(place)
    at = [places[key].pop(0) for key in wanted]
    any_order = {tuple(pair) for pair in free}
    return [
        f"{where}: {expected[one]['op']} {expected[one]['name']} must come before "
        f"{expected[other]['op']} {expected[other]['name']}"
        for one in range(len(wanted))
        for other in range(one + 1, len(wanted))
        if (one, other) not in any_order and at[one] > at[other]
    ]


def _value(where: str, expected: Any, found: Any) -> list[str]:
    told: list[str] = []
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted({*expected, *found}):
            if key not in found:
                told.append(f"{where}.{key}: missing (expected {_shown(expected[key])})")
            elif key not in expected:
                told.append(f"{where}.{key}: unexpected {_shown(found[key])}")
            else:
                told += _value(f"{where}.{key}", expected[key], found[key])
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for place, (one, other) in enumerate(zip(expected, found, strict=True)):
            told += _value(f"{where}[{place}]", one, other)
    elif expected != found:
        told.append(f"{where}: expected {_shown(expected)}, got {_shown(found)}")
    return told


def _by_urn(state: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for record in state.get("resources", []):
        key = record["urn"] + (" (delete)" if record.get("delete") else "")
        while key in found:
            key += "'"
        found[key] = record
    return found


def _key(step: Any) -> str:
    return json.dumps(step, sort_keys=True)


def _sorted(steps: Iterable[Any]) -> list[Any]:
    return sorted(steps, key=_key)


def _shown(value: Any) -> str:
    return json.dumps(value)[:_SHOWN]
