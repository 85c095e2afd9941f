"""What a program asks for when it registers a resource."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import Message

from lab.engine.deploy.request import DeployError
from lab.engine.values import from_wire, value_from_wire

__all__ = ["Alias", "Goal"]

# Fields of a request that only say what the SDK understands or where the code stands.
_HARMLESS: Final = {
    *("acceptSecrets", "acceptResources", "supportsPartialValues", "supportsResultReporting", "aliasSpecs"),
    *("sourcePosition", "stackTrace", "parentStackTraceHandle", "deleteBeforeReplaceDefined", "version"),
    *("accepts_byte_string", "pluginDownloadURL", "transforms"),
}
_KNOWN: Final = {
    *("type", "name", "parent", "custom", "object", "protect", "dependencies", "provider", "providers"),
    *("propertyDependencies", "deleteBeforeReplace", "ignoreChanges", "additionalSecretOutputs"),
    *("aliasURNs", "aliases", "customTimeouts", "replaceOnChanges", "retainOnDelete", "deletedWith"),
    *("replace_with", "replacement_trigger", "hooks", "hideDiffs"),
}
_HOOKS: Final = {
    "before_create": "BeforeCreate",
    "after_create": "AfterCreate",
    "before_update": "BeforeUpdate",
    "after_update": "AfterUpdate",
    "before_delete": "BeforeDelete",
    "after_delete": "AfterDelete",
    "on_error": "OnError",
}
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@dataclass(frozen=True, kw_only=True)
class Alias:
    """Another identity a resource may have had: a whole URN, or what differs from the present one."""

    urn: str = ""
    name: str = ""
    type: str = ""
    parent: str | None = None
    no_parent: bool = False


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One registration, with names as in `ResourceState`."""

    type: str
    name: str
    parent: str
    custom: bool
    properties: dict[str, Any]
    provider: str = ""
    version: str = ""
    providers: Mapping[str, str] = field(default_factory=dict)
    protect: bool = False
    dependencies: list[str] = field(default_factory=list)
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    delete_before_replace: bool | None = None
    ignore_changes: list[str] = field(default_factory=list)
    additional_secret_outputs: list[str] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    custom_timeouts: Mapping[str, float] | None = None
    replace_on_changes: list[str] = field(default_factory=list)
    retain_on_delete: bool = False
    deleted_with: str = ""
    replace_with: list[str] = field(default_factory=list)
    replacement_trigger: Any = None
    hooks: dict[str, list[str]] = field(default_factory=dict)
    hide_diff: list[Any] = field(default_factory=list)

    @staticmethod
    def of(request: Any) -> "Goal":
        """Read a RegisterResourceRequest. Raises `DeployError` for what this engine does not do."""
        refuse_unknown(request, _HARMLESS | _KNOWN, f"{request.type} {request.name}")
        trigger = None
        if request.HasField("replacement_trigger"):
            trigger = value_from_wire(request.replacement_trigger)
        return Goal(
            type=request.type,
            name=request.name,
            parent=request.parent,
            custom=request.custom,
            properties=from_wire(request.object),
            provider=request.provider,
            version=request.version,
            providers=dict(request.providers),
            protect=request.protect,
            dependencies=sorted(set(request.dependencies)),
            property_dependencies={
                name: sorted(set(dependencies.urns))
                for name, dependencies in sorted(request.propertyDependencies.items())
            },
            delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
            ignore_changes=list(request.ignoreChanges),
            additional_secret_outputs=list(request.additionalSecretOutputs),
            aliases=[*(Alias(urn=urn) for urn in request.aliasURNs), *map(_alias, request.aliases)],
            custom_timeouts=_timeouts(request.customTimeouts),
            replace_on_changes=list(request.replaceOnChanges),
            retain_on_delete=request.retainOnDelete,
            deleted_with=request.deletedWith,
            replace_with=list(request.replace_with),
            replacement_trigger=trigger,
            hooks=_hooks(request),
            hide_diff=[[path] for path in request.hideDiffs],
        )


def refuse_unknown(request: Message, known: set[str], what: str) -> None:
    """Fail by name on any field that carries a value and that this engine does not know."""
    for descriptor, _ in request.ListFields():
        if descriptor.name not in known:
            raise DeployError(f"{what}: this engine does not know the option {descriptor.name!r}")


def _alias(message: Any) -> Alias:
    if message.WhichOneof("alias") == "urn":
        return Alias(urn=message.urn)
    spec = message.spec
    kind = spec.WhichOneof("parent")
    return Alias(
        name=spec.name,
        type=spec.type,
        parent=spec.parentUrn if kind == "parentUrn" else None,
        no_parent=kind == "noParent" and spec.noParent,
    )


def _hooks(request: Any) -> dict[str, list[str]]:
    if not request.HasField("hooks"):
        return {}
    return {
        name: list(getattr(request.hooks, key)) for key, name in _HOOKS.items() if getattr(request.hooks, key)
    }


def _timeouts(message: Any) -> Mapping[str, float] | None:
    found = {
        name: _seconds(getattr(message, name))
        for name in ("create", "update", "delete")
        if getattr(message, name)
    }
    return found or None


def _seconds(text: str) -> float:
    """Read a duration such as `1h30m` (Go's form)."""
    parts = re.findall(r"([\d.]+)(h|ms|m|s)", text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text:
        raise DeployError(f"{text!r} is not a duration such as 5m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
