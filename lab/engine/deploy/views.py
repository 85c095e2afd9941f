"""Records and values as a provider sees them."""

from collections.abc import Mapping
from typing import Any

from lab.engine.provider import Provider, Resource
from lab.engine.state.model import ResourceState
from lab.engine.values import UNKNOWN, Secret, plain

__all__ = ["as_resource", "planned_by", "seen_by"]


def seen_by(provider: Provider, values: dict[str, Any]) -> dict[str, Any]:
    """Return values as a provider gets them: without secret marks unless it knows what they are."""
    if provider.accepts_secrets:
        return values
    shown: dict[str, Any] = plain(values)
    return shown


def planned_by(provider: Provider, values: dict[str, Any]) -> dict[str, Any]:
    """Return values as a provider gets them in a preview's create or update."""
    return seen_by(provider, _emptied(values) if provider.loses_unknown_secrets else values)


def _emptied(value: Any) -> Any:
    if isinstance(value, Secret):
        return "" if value.value is UNKNOWN else value
    if isinstance(value, Mapping):
        return {name: _emptied(item) for name, item in value.items()}
    return [_emptied(item) for item in value] if isinstance(value, list) else value


def as_resource(state: ResourceState, provider: Provider) -> Resource:
    """Return a record as a provider gets it."""
    return Resource(
        urn=state.urn,
        type=state.type,
        id=str(state.id),
        inputs=seen_by(provider, state.inputs),
        outputs=seen_by(provider, state.outputs),
    )
