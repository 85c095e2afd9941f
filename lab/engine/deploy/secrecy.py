"""Taking secret marks off before a provider is called, and putting them back on what it answers."""

from collections.abc import Iterable, Mapping
from typing import Any

from lab.engine.values import Secret, mark_secret

__all__ = ["mark_outputs"]


def mark_outputs(
    outputs: Mapping[str, Any], inputs: Mapping[str, Any], more: Iterable[str]
) -> dict[str, Any]:
    """Mark what has the name of a secret input, at any depth, and the top-level names in `more`."""
    marked: dict[str, Any] = _mark(outputs, inputs)
    return {name: mark_secret(value) if name in set(more) else value for name, value in marked.items()}


def _mark(output: Any, source: Any) -> Any:
    if isinstance(source, Secret):
        return mark_secret(_mark(output, source.value))
    if isinstance(output, Mapping) and isinstance(source, Mapping):
        return {name: _mark(value, source.get(name)) for name, value in output.items()}
    if isinstance(output, list) and isinstance(source, list) and len(output) == len(source):
        return [_mark(value, item) for value, item in zip(output, source, strict=True)]
    return output
