"""Steps: one operation on one resource each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lab.engine.provider import PropertyDiff
from lab.engine.state.model import ResourceState

__all__ = ["DELETES", "Op", "Step"]


class Op:
    """The names of operations, as Pulumi prints them."""

    SAME: Final = "same"
    CREATE: Final = "create"
    UPDATE: Final = "update"
    DELETE: Final = "delete"
    REPLACE: Final = "replace"
    CREATE_REPLACEMENT: Final = "create-replacement"
    DELETE_REPLACED: Final = "delete-replaced"
    REMOVE_PENDING: Final = "remove-pending-replace"
    REFRESH: Final = "refresh"
    READ: Final = "read"
    DISCARD: Final = "discard"
    DISCARD_REPLACED: Final = "discard-replaced"


DELETES: Final = {Op.DELETE, Op.DELETE_REPLACED, Op.DISCARD, Op.DISCARD_REPLACED}


@dataclass(frozen=True, kw_only=True)
class Step:
    """An operation: `old` is what the state has, `new` what is asked (without outputs yet).

    `keys` force a replacement, `diffs` are the properties that changed, `detailed` the same by path.
    `logical` is False for one half of a replacement; `keep_record` leaves the old record in the state
    as pending replacement (delete before replace). `untargeted` says that the operation leaves the resource
    alone; without an `old` the resource is then not made at all.
    """

    op: str
    old: ResourceState | None = None
    new: ResourceState | None = None
    keys: Sequence[str] = ()
    diffs: Sequence[str] = ()
    detailed: Mapping[str, PropertyDiff] | None = field(default=None)
    logical: bool = True
    keep_record: bool = False
    untargeted: bool = False

    @property
    def skipped_create(self) -> bool:
        """Whether this stands for a resource that is asked for and not made."""
        return self.untargeted and self.old is None

    @property
    def resource(self) -> ResourceState:
        """The record that names the resource."""
        found = self.new or self.old
        assert found is not None
        return found

    @property
    def urn(self) -> str:
        """The resource's URN."""
        return self.resource.urn

    def metadata(self) -> dict[str, Any]:
        """Return what an event says of this step beside the records."""
        return {
            "op": self.op,
            "urn": self.urn,
            "type": self.resource.type,
            "provider": self.resource.provider,
        }
