"""A stack's state as JSON: Pulumi's deployment (format.py says which version).

Each resource's JSON is kept until the resource changes, ciphertexts included, so that saving costs what has
changed and unchanged secrets keep their ciphertext.
"""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from lab.engine.state.model import Change, PendingOperation, ResourceState, Snapshot, StateError
from lab.engine.state.secrets import Crypter
from lab.engine.values import Secret, from_json, to_json

__all__ = ["Checkpoint", "SecretsProvider", "now"]

_SPARE: Final = 100  # texts of records that are kept in any case
_ENGINE: Final = "v3.260.0"  # the engine whose format this is
_MAGIC: Final = "7dff0d166258e7f1d265e8e044021ea087795d58a0c6415ab6fe8b7c790e447f"

# Names that JSON spells otherwise than by dropping the underscores.
_SPELLED: Final = {"import_id": "importID"}
_ALWAYS: Final = {"urn", "custom", "type"}
# In the order in which Pulumi writes them, which is the order people know.
_ORDER: Final = (
    *("urn", "custom", "delete", "id", "type", "inputs", "outputs", "parent", "protect", "taint", "external"),
    *("dependencies", "init_errors", "provider", "property_dependencies", "pending_replacement"),
    *("additional_secret_outputs", "aliases", "custom_timeouts", "import_id", "retain_on_delete"),
    *("deleted_with", "replace_with", "created", "modified", "source_position", "stack_trace"),
    *("ignore_changes", "hide_diff", "replace_on_changes", "replacement_trigger"),
    *("refresh_before_update", "view_of", "resource_hooks"),
)
_VALUES: Final = {"inputs", "outputs", "replacement_trigger"}


def now() -> str:
    """Return the time as the state writes it."""
    return dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")


def _json_name(name: str) -> str:
    first, *rest = name.split("_")
    return _SPELLED.get(name) or first + "".join(part.capitalize() for part in rest)


_JSON_NAMES: Final = {name: _json_name(name) for name in _ORDER}
_FIELD_NAMES: Final = {spelled: name for name, spelled in _JSON_NAMES.items()}
assert set(_ORDER) == {field.name for field in fields(ResourceState)}


@dataclass(frozen=True, kw_only=True)
class SecretsProvider:
    """The part of a deployment that says how its secrets are encrypted."""

    type: str
    state: Mapping[str, Any]


class Checkpoint:
    """Turns snapshots into deployments and back, for one stack's secrets."""

    def __init__(self, crypter: Crypter) -> None:
        self._crypter = crypter
        self._sealed: dict[int, tuple[Secret, dict[str, str]]] = {}
        self._kept: dict[int, tuple[ResourceState, str]] = {}

    @property
    def salt(self) -> str:
        """The `encryptionsalt` its secrets are encrypted under."""
        return self._crypter.salt

    def head(self) -> dict[str, Any]:
        """Return what stands in a deployment that is written now, beside what it is about."""
        return {
            "manifest": {"time": now(), "magic": _MAGIC, "version": _ENGINE},
            "secrets_providers": {"type": "passphrase", "state": {"salt": self._crypter.salt}},
        }

    def line(self, changes: Sequence[Change]) -> str:
        """Return changes as one line of a journal (journal_file.py)."""
        return f"[{','.join([self._change(change) for change in changes])}]"

    def _change(self, change: Change) -> str:
        parts = [f'"{change.kind}"', str(change.number)]
        if change.record is not None:
            parts.append(self._record(change.record))
        if change.operation:
            parts.append(f'"{change.operation}"')
        return f"[{','.join(parts)}]"

    def encode(self, snapshot: Snapshot) -> str:
        """Return the deployment as JSON text."""
        parts = [json.dumps(self.head())[1:-1]]
        if snapshot.resources:
            records = ",".join([self._record(resource) for resource in snapshot.resources])
            parts.append(f'"resources":[{records}]')
        if snapshot.pending_operations:
            pending = ",".join(
                f'{{"resource":{self._record(one.resource)},"type":{json.dumps(one.type)}}}'
                for one in snapshot.pending_operations
            )
            parts.append(f'"pending_operations":[{pending}]')
        parts.append(f'"metadata":{json.dumps(snapshot.metadata)}')
        self._forget(len(snapshot.resources) + len(snapshot.pending_operations))
        return "{" + ",".join(parts) + "}"

    def _record(self, resource: ResourceState) -> str:
        kept = self._kept.get(id(resource))
        if kept is None or kept[0] is not resource:
            kept = (resource, json.dumps(dump_resource(resource, self._seal), separators=(",", ":")))
            self._kept[id(resource)] = kept
        return kept[1]

    def _forget(self, live: int) -> None:
        """Keep no more texts of records that are gone than there are others."""
        while len(self._kept) > 2 * live + _SPARE:
            del self._kept[next(iter(self._kept))]

    def _seal(self, secret: Secret) -> Mapping[str, str]:
        known = self._sealed.get(id(secret))
        if known is None or known[0] is not secret:
            inner = to_json(secret.value, _sealed_inside)
            known = (secret, {"ciphertext": self._crypter.encrypt(json.dumps(inner))})
            self._sealed[id(secret)] = known
        return known[1]

    def load(self, deployment: Mapping[str, Any]) -> Snapshot:
        """Return the snapshot in a deployment. Raises `StateError`."""
        try:
            return self._load(deployment)
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            raise StateError(
                f"the state is damaged and stays unchanged ({type(error).__name__}: {error}); the "
                "backend's folder has the state before, as .json.bak"
            ) from error

    def _load(self, deployment: Mapping[str, Any]) -> Snapshot:
        resources = [self._load_resource(resource) for resource in deployment.get("resources") or []]
        pending = [
            PendingOperation(resource=self._load_resource(operation["resource"]), type=operation["type"])
            for operation in deployment.get("pending_operations") or []
        ]
        return Snapshot(
            resources=resources, pending_operations=pending, metadata=dict(deployment.get("metadata") or {})
        )

    def _load_resource(self, value: Mapping[str, Any]) -> ResourceState:
        unknown = set(value) - set(_FIELD_NAMES)
        if unknown:
            raise StateError(
                f"{value.get('urn')}: this engine does not know {', '.join(sorted(unknown))} in the state"
            )
        loaded = {
            _FIELD_NAMES[name]: from_json(part, self._unseal) if _FIELD_NAMES[name] in _VALUES else part
            for name, part in value.items()
        }
        return ResourceState(**loaded)

    def _unseal(self, value: Mapping[str, Any]) -> Secret:
        if "plaintext" in value:
            return _unsealed_inside(value)
        plaintext = json.loads(self._crypter.decrypt(value["ciphertext"]))
        secret = Secret(from_json(plaintext, _unsealed_inside))
        self._sealed[id(secret)] = (secret, {"ciphertext": value["ciphertext"]})
        return secret


def _sealed_inside(secret: Secret) -> dict[str, str]:
    """A secret in a secret is not encrypted again, but has the same words (Pulumi's NopEncrypter)."""
    return {"ciphertext": json.dumps(to_json(secret.value, _sealed_inside))}


def _unsealed_inside(value: Mapping[str, Any]) -> Secret:
    text = value["plaintext"] if "plaintext" in value else value["ciphertext"]
    return Secret(from_json(json.loads(text), _unsealed_inside))


def dump_resource(resource: ResourceState, seal: Callable[[Secret], Mapping[str, Any]]) -> dict[str, Any]:
    """Return one resource's JSON with its secrets sealed by `seal`; what is empty is left out."""
    dumped: dict[str, Any] = {}
    for name in _ORDER:
        value = getattr(resource, name)
        if name in _VALUES:
            value = to_json(value, seal)
        if name in _ALWAYS or value not in (None, "", False, [], {}):
            dumped[_JSON_NAMES[name]] = value
    return dumped
