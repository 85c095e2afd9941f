"""Inputs brought into one shape, and told apart by what they mean rather than how they are written."""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any, Final

from lab.engine.provider import Values
from lab.engine.providers.hcloud.resource import Kind, numeric

__all__ = ["meaning", "plain", "shaped"]

_DEFAULTS: Final = "__defaults"
_NUMBERS: Final = {
    *("firewallIds", "placementGroupId", "assigneeId", "networkId", "serverId", "firewallId", "serverIds"),
    *("server", "ipv4", "ipv6", "vswitchId"),
}
"""Properties that are numbers in the API; ids in Pulumi are text."""
_TEXTS: Final = {"image", "sshKeys"}
"""Properties that are text even where a number names something."""


def plain(values: Values) -> dict[str, Any]:
    """Return properties without the marks of what was filled in."""
    cleaned: dict[str, Any] = _plain(values)
    return cleaned


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items() if name != _DEFAULTS}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def shaped(kind: Kind, given: Values) -> dict[str, Any]:
    """Return inputs with numbers as numbers, text as text, and the defaults of nested objects."""
    inputs = {name: _typed(name, value) for name, value in given.items() if name != _DEFAULTS}
    for name, defaults in kind.nested_defaults.items():
        if isinstance(inputs.get(name), list):
            inputs[name] = [_filled(item, defaults) for item in inputs[name]]
    return inputs


def _typed(name: str, value: Any) -> Any:
    if isinstance(value, Mapping) and name != "labels":
        return {key: _typed(key, item) for key, item in value.items()}
    if name in _NUMBERS:
        return numeric(value)
    if isinstance(value, list):
        return [_typed(name, item) for item in value]
    if name in _TEXTS and isinstance(value, int | float) and not isinstance(value, bool):
        return str(int(value))
    return value


def _filled(item: Any, defaults: Mapping[str, Any]) -> Any:
    if not isinstance(item, Mapping):
        return item
    added = {name: value for name, value in defaults.items() if name not in item}
    return {_DEFAULTS: sorted(added), **item, **added}


def meaning(kind: Kind, name: str, value: Any) -> Any:
    """Return what two equal values of an input have in common, whatever their order and notation."""
    return _meaning(value) if name in kind.sets else value


def _meaning(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _meaning(item) for name, item in sorted(value.items()) if item not in (None, "", [])}
    if isinstance(value, list):
        return sorted((_meaning(item) for item in value), key=repr)
    if isinstance(value, str) and (":" in value or value.count(".") == 3):
        try:
            return str(ip_network(value))
        except ValueError:
            return value
    return value
