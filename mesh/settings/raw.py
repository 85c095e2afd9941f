"""Reads parts of a stack file that may be wrong elsewhere: what cannot be read is passed over."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic_core import PydanticCustomError

from mesh.settings.problems import Told

__all__ = ["Finding", "clients", "everyone_in", "listed", "nodes", "read"]

_T = TypeVar("_T")

Finding = tuple[tuple[int | str, ...], str | Told]
"""A path below the mesh, and what is wrong there."""


def read(field: Callable[[object], _T], value: object) -> _T | None:
    """Return what a field makes of a value; None when it refuses it."""
    try:
        return field(value)
    except PydanticCustomError:
        return None


def nodes(raw: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the nodes by name, whatever each of them is."""
    found = raw.get("nodes")
    return {str(name): node for name, node in found.items()} if isinstance(found, Mapping) else {}


def clients(raw: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the clients by name, whatever each of them is."""
    found = raw.get("clients")
    return {str(name): client for name, client in found.items()} if isinstance(found, Mapping) else {}


def everyone_in(raw: Mapping[Any, Any]) -> dict[str, Any]:
    """Return nodes and clients by name; a name that both have is refused elsewhere."""
    found = nodes(raw)
    return {**found, **{name: each for name, each in clients(raw).items() if name not in found}}


def listed(owner: object, key: str) -> list[Any]:
    """Return the list at a key; an empty one when there is none."""
    value = owner.get(key) if isinstance(owner, Mapping) else None
    return value if isinstance(value, list) else []
