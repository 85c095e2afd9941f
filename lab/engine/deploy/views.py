"""Records and values as a provider sees them."""

from typing import Any

from lab.engine.provider import Provider, Resource
from lab.engine.state.model import ResourceState
from lab.engine.values import plain

__all__ = ["as_resource", "seen_by"]


def seen_by(provider: Provider, values: dict[str, Any]) -> dict[str, Any]:
    """Return values as a provider gets them: without secret marks unless it knows what they are."""
    if provider.accepts_secrets:
        return values
    shown: dict[str, Any] = plain(values)
    return shown


def as_resource(state: ResourceState, provider: Provider) -> Resource:
    """Return a record as a provider gets it."""
    return Resource(
        urn=state.urn,
        type=state.type,
        id=str(state.id),
        inputs=seen_by(provider, state.inputs),
        outputs=seen_by(provider, state.outputs),
    )
