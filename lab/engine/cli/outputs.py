"""A stack's outputs, and values as Pulumi prints them."""

import json
from typing import Any

from lab.engine.cli.context import Stack
from lab.engine.state.model import STACK_TYPE
from lab.engine.values import SECRET_SIGNATURE, SIGNATURE, Secret, to_json

__all__ = ["as_json", "outputs", "print_table", "text"]


def outputs(stack: Stack, *, show_secrets: bool) -> dict[str, Any]:
    """Return a stack's outputs. What is secret is decrypted when asked for, else `[secret]`."""
    if show_secrets:
        return {name: _revealed(value) for name, value in stack.outputs().items()}
    for record in stack.deployment().get("resources") or []:
        if record["type"] == STACK_TYPE:
            return {name: _masked(value) for name, value in (record.get("outputs") or {}).items()}
    return {}


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            return "[secret]"
        return {name: _masked(item) for name, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list) else value


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return _revealed(value.value)
    if isinstance(value, dict):
        return {name: _revealed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_revealed(item) for item in value]
    return to_json(value, lambda _: {})


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Return JSON as Pulumi writes it: keys in their order, no escapes but those that must be."""
    separators = (",", ": ") if indent else (",", ":")
    return json.dumps(value, indent=indent, sort_keys=True, ensure_ascii=False, separators=separators)


def text(value: Any) -> str:
    """Return a value for people: a text as it is, else JSON on one line."""
    return value if isinstance(value, str) else as_json(value)


def print_table(found: dict[str, Any]) -> None:
    """Print outputs with a heading."""
    print(f"Current stack outputs ({len(found)}):")
    if not found:
        print("    No output values currently in this stack")
        return
    width = max(len("OUTPUT"), *(len(name) for name in found))
    print(f"    {'OUTPUT'.ljust(width)}  VALUE")
    for name in sorted(found):
        print(f"    {name.ljust(width)}  {text(found[name])}")
