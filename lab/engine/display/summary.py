"""The counts at the end of an operation, as Pulumi has them (pulumi/pulumi, pkg/backend/display/diff.go)."""

from collections.abc import Mapping
from typing import Any, Final

from lab.engine.display.full import SIGNS

__all__ = ["summary_lines"]

_ORDER: Final = (
    *("create", "update", "delete", "replace", "create-replacement", "delete-replaced", "refresh"),
    *("discard-replaced", "remove-pending-replace"),
)
_PAST: Final = {
    "delete": "deleted", "delete-replaced": "deleted", "refresh": "refreshed",
    "discard-replaced": "discarded", "remove-pending-replace": "removed",
}  # fmt: skip


def summary_lines(event: Mapping[str, Any], errors: int) -> list[str]:
    """Return the lines; `errors` is the number of steps that failed."""
    changes, planning = event.get("resourceChanges", {}), bool(event.get("isPreview"))
    kinds = [op for op in _ORDER if changes.get(op)]
    lines = ["Resources:"]
    for op in kinds:
        words = f"to {op}" if planning else _PAST.get(op, f"{op}d")
        lines.append(f"    {SIGNS[op]}{changes[op]} {words}")
    total = sum(changes[op] for op in kinds)
    pieces = [f"{total} changes"] if len(kinds) > 1 else []
    if changes.get("same"):
        pieces.append(f"{changes['same']} unchanged")
    if pieces:
        lines.append(f"    {'. '.join(pieces)}")
    if errors:
        lines.append(f"    {errors} errored")
    if not planning:
        lines += ["", f"Duration: {event['durationSeconds']}s"]
    return lines
