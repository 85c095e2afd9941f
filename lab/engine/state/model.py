"""The state of a stack in memory: a checkpoint's resources, with values instead of JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

__all__ = [
    "Change",
    "ChangeKind",
    "PendingOperation",
    "ResourceState",
    "Snapshot",
    "StateError",
    "urn_name",
    "urn_type",
]

STACK_TYPE: Final = "pulumi:pulumi:Stack"
PROVIDER_PREFIX: Final = "pulumi:providers:"


ChangeKind = Literal["same", "add", "put", "drop", "begin", "end"]


class StateError(Exception):
    """A state cannot be read or written; the message says which, why, and that nothing was changed."""


def urn_name(urn: str) -> str:
    """Return the name in a URN: its last part."""
    return urn.split("::", 3)[3]


def urn_type(urn: str) -> str:
    """Return the type in a URN, without the types of its parents."""
    return urn.split("::", 3)[2].rpartition("$")[2]


@dataclass(frozen=True, kw_only=True)
class ResourceState:
    """One resource as the last step left it; the fields are those of Pulumi's checkpoint, version 3."""

    urn: str
    type: str
    custom: bool
    id: Any = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    parent: str = ""
    protect: bool = False
    taint: bool = False
    external: bool = False
    delete: bool = False
    dependencies: list[str] = field(default_factory=list)
    init_errors: list[str] = field(default_factory=list)
    provider: str = ""
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    pending_replacement: bool = False
    additional_secret_outputs: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    custom_timeouts: Mapping[str, float] | None = None
    import_id: str = ""
    retain_on_delete: bool = False
    deleted_with: str = ""
    replace_with: list[str] = field(default_factory=list)
    created: str = ""
    modified: str = ""
    source_position: str = ""
    stack_trace: list[Any] = field(default_factory=list)
    ignore_changes: list[str] = field(default_factory=list)
    hide_diff: list[Any] = field(default_factory=list)
    replace_on_changes: list[str] = field(default_factory=list)
    replacement_trigger: Any = None
    refresh_before_update: bool = False
    view_of: str = ""
    resource_hooks: dict[str, list[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name in its URN."""
        return urn_name(self.urn)

    @property
    def is_provider(self) -> bool:
        """Whether this is a provider, not something a provider made."""
        return self.type.startswith(PROVIDER_PREFIX)

    @property
    def provider_urn(self) -> str:
        """The URN of its provider; empty for components."""
        return self.provider.rpartition("::")[0]

    def needs(self) -> set[str]:
        """Return the URNs that must exist before this one and be deleted after it."""
        found = set(self.dependencies)
        for urns in self.property_dependencies.values():
            found.update(urns)
        found.update(self.replace_with)
        found.update(urn for urn in (self.parent, self.deleted_with, self.provider_urn) if urn)
        return found


@dataclass(frozen=True, kw_only=True)
class PendingOperation:
    """A step that had begun and of which no end is known: `type` is creating, updating, deleting, reading."""

    resource: ResourceState
    type: str


@dataclass(kw_only=True)
class Snapshot:
    """All of a stack: resources so that each comes after what it needs, and what was under way."""

    resources: list[ResourceState] = field(default_factory=list)
    pending_operations: list[PendingOperation] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of a snapshot, as the journal has it; `number` says of which record or pending operation.

    `same`: the record has been dealt with and stays as it is. `add`: the record is this now, and dealt with.
    `put`: the record is this now, at the same place. `drop`: the record is gone. `begin`: an operation of a
    type (`operation`) begins for this record. `end`: the operation has ended.
    """

    kind: ChangeKind
    number: int
    record: ResourceState | None = None
    operation: str = ""
