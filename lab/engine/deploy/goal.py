"""What a program asks for when it registers a resource."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from google.protobuf.message import Message

from lab.engine.deploy.builtin import STACK_REFERENCE
from lab.engine.deploy.request import DeployError
from lab.engine.protocol import resource_pb2
from lab.engine.state.model import PROVIDER_PREFIX, ResourceState, urn_type
from lab.engine.values import from_wire, value_from_wire

__all__ = [
    "Alias",
    "Goal",
    "aliases_of",
    "hooks_of",
    "hooks_to_wire",
    "package_of",
    "refuse_unknown",
    "timeouts_of",
]

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
    parent: str = ""
    no_parent: bool = False
    stack: str = ""
    project: str = ""


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
    protect: bool | None = None
    dependencies: list[str] = field(default_factory=list)
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    delete_before_replace: bool | None = None
    ignore_changes: list[str] = field(default_factory=list)
    additional_secret_outputs: list[str] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    custom_timeouts: Mapping[str, float] | None = None
    replace_on_changes: list[str] = field(default_factory=list)
    retain_on_delete: bool | None = None
    deleted_with: str = ""
    replace_with: list[str] = field(default_factory=list)
    replacement_trigger: Any = None
    hooks: dict[str, list[str]] = field(default_factory=dict)
    hide_diff: list[Any] = field(default_factory=list)

    def under(self, parent: "Goal | None") -> "Goal":
        """Return it with what a child takes over from its parent where it says nothing itself."""
        if parent is None:
            return self
        provider = self.provider
        if not provider and (not self.custom or provider_package(parent.provider) == package_of(self.type)):
            provider = parent.provider
        providers = self.providers if self.custom else {**parent.providers, **self.providers}
        return replace(
            self,
            deleted_with=self.deleted_with or parent.deleted_with,
            protect=parent.protect if self.protect is None else self.protect,
            retain_on_delete=(
                parent.retain_on_delete if self.retain_on_delete is None else self.retain_on_delete
            ),
            provider=provider or parent.providers.get(package_of(self.type), ""),
            providers=providers,
        )

    def state(self, urn: str, provider: str, old: ResourceState | None) -> ResourceState:
        """Return the record that is asked for, as far as it can be said before anything is done."""
        return ResourceState(
            urn=urn,
            type=self.type,
            custom=self.custom,
            inputs=self.properties,
            parent=self.parent,
            protect=bool(self.protect),
            dependencies=self.dependencies,
            provider=provider,
            property_dependencies=self.property_dependencies,
            additional_secret_outputs=self.additional_secret_outputs,
            custom_timeouts=self.custom_timeouts,
            retain_on_delete=bool(self.retain_on_delete),
            deleted_with=self.deleted_with,
            replace_with=self.replace_with,
            created=old.created if old else "",
            modified=old.modified if old else "",
            ignore_changes=self.ignore_changes,
            hide_diff=self.hide_diff,
            replace_on_changes=self.replace_on_changes,
            replacement_trigger=self.replacement_trigger,
            resource_hooks=self.hooks,
        )

    @staticmethod
    def of_read(request: Any) -> "Goal":
        """Read a ReadResourceRequest. Raises `DeployError` for what this engine does not do."""
        if request.type != STACK_REFERENCE:
            raise DeployError(f"this engine does not read existing resources ({request.name})")
        refuse_unknown(request, _READ, f"{request.type} {request.name}")
        return Goal(
            type=request.type,
            name=request.name,
            parent=request.parent,
            custom=True,
            properties=from_wire(request.properties),
            provider=request.provider,
            version=request.version,
            dependencies=sorted(set(request.dependencies)),
            additional_secret_outputs=list(request.additionalSecretOutputs),
        )

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
            protect=request.protect if request.HasField("protect") else None,
            dependencies=sorted(set(request.dependencies)),
            property_dependencies={
                name: sorted(set(dependencies.urns))
                for name, dependencies in sorted(request.propertyDependencies.items())
            },
            delete_before_replace=(
                request.deleteBeforeReplace
                if request.deleteBeforeReplaceDefined or request.deleteBeforeReplace
                else None
            ),
            ignore_changes=list(request.ignoreChanges),
            additional_secret_outputs=list(request.additionalSecretOutputs),
            aliases=[*(Alias(urn=urn) for urn in request.aliasURNs), *aliases_of(request.aliases)],
            custom_timeouts=timeouts_of(request.customTimeouts),
            replace_on_changes=list(request.replaceOnChanges),
            retain_on_delete=request.retainOnDelete if request.HasField("retainOnDelete") else None,
            deleted_with=request.deletedWith,
            replace_with=list(request.replace_with),
            replacement_trigger=trigger,
            hooks=hooks_of(request.hooks),
            hide_diff=[[path] for path in request.hideDiffs],
        )


_READ: Final = {
    *("id", "type", "name", "parent", "properties", "dependencies", "provider", "version", "acceptSecrets"),
    *("additionalSecretOutputs", "acceptResources", "pluginDownloadURL", "sourcePosition", "stackTrace"),
    *("parentStackTraceHandle", "accepts_byte_string"),
}


def package_of(type_: str) -> str:
    """Return the package a resource's or function's type belongs to."""
    return type_.split(":", 1)[0]


def provider_package(reference: str) -> str:
    """Return the package of a provider that a resource names; empty for none."""
    return urn_type(reference).removeprefix(PROVIDER_PREFIX) if reference else ""


def refuse_unknown(request: Message, known: set[str], what: str) -> None:
    """Fail by name on any field that carries a value and that this engine does not know."""
    for descriptor, _ in request.ListFields():
        if descriptor.name not in known:
            raise DeployError(f"{what}: this engine does not know the option {descriptor.name!r}")


def aliases_of(messages: Iterable[Any]) -> list[Alias]:
    """Return the aliases in a request."""
    return [_alias(message) for message in messages]


def _alias(message: Any) -> Alias:
    if message.WhichOneof("alias") == "urn":
        return Alias(urn=message.urn)
    spec = message.spec
    kind = spec.WhichOneof("parent")
    return Alias(
        name=spec.name,
        type=spec.type,
        parent=spec.parentUrn if kind == "parentUrn" else "",
        no_parent=kind == "noParent" and spec.noParent,
        stack=spec.stack,
        project=spec.project,
    )


def hooks_of(message: Any) -> dict[str, list[str]]:
    """Return the hooks in a request, by kind as the state names it."""
    return {name: list(getattr(message, key)) for key, name in _HOOKS.items() if getattr(message, key)}


def hooks_to_wire(hooks: Mapping[str, list[str]]) -> Any:
    """Return hooks as a request has them; None for none."""
    if not hooks:
        return None
    bound = {key: hooks[name] for key, name in _HOOKS.items() if name in hooks}
    return resource_pb2.RegisterResourceRequest.ResourceHooksBinding(**bound)


def timeouts_of(message: Any) -> Mapping[str, float] | None:
    """Return custom timeouts in seconds. Raises `DeployError` for what is no duration."""
    found = {
        name: _seconds(getattr(message, name))
        for name in ("create", "update", "delete", "read")
        if getattr(message, name)
    }
    return found or None


def _seconds(text: str) -> float:
    """Read a duration such as `1h30m` (Go's form)."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s)", text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text:
        raise DeployError(f"{text!r} is not a duration such as 5m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
