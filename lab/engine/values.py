"""Property values inside the engine, on the wire to the program, and in JSON.

Inside they are plain Python with `Secret`, `UNKNOWN`, `Asset`, `Archive` and `ResourceReference` where a
plain value cannot say what is meant. The signatures are Pulumi's (sdk/go/common/resource/sig).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import json_format, struct_pb2

from lab.engine.provider import UNKNOWN, Archive, Asset, Unknown

__all__ = [
    "UNKNOWN",
    "UNKNOWN_SENTINEL",
    "Archive",
    "Asset",
    "ResourceReference",
    "Secret",
    "contains_secret",
    "contains_unknown",
    "from_json",
    "from_wire",
    "mark_secret",
    "plain",
    "same",
    "to_json",
    "to_wire",
    "value_from_wire",
    "value_to_wire",
]

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker of the format
ASSET_SIGNATURE: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE_SIGNATURE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
REFERENCE_SIGNATURE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_SENTINEL: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

_SCALARS: Final = frozenset((str, int, float, bool, type(None)))
"""What most values are, and what is returned as it is: asked first, as every change visits every value."""


@dataclass(frozen=True)
class Secret:
    """A value that is never shown and is stored encrypted."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(...)"


@dataclass(frozen=True, kw_only=True)
class ResourceReference:
    """A reference to a resource as a value. `id` is None for a component, UNKNOWN in some previews."""

    urn: str
    id: Any = None
    package_version: str = ""


def contains_secret(value: Any) -> bool:
    """Whether a secret is anywhere in a value."""
    return _contains(value, Secret)


def contains_unknown(value: Any) -> bool:
    """Whether an unknown is anywhere in a value, inside secrets too."""
    return _contains(value, Unknown)


def _contains(value: Any, kind: type) -> bool:
    if type(value) in _SCALARS:
        return False
    if isinstance(value, kind):
        return True
    if isinstance(value, Secret):
        return _contains(value.value, kind)
    if isinstance(value, Mapping):
        return any(_contains(item, kind) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_contains(item, kind) for item in value)
    return False


def plain(value: Any) -> Any:
    """Return a value without its secret marks."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same; a secret mark counts, an asset counts by its content."""
    if type(one) in _SCALARS:
        return type(one) is type(other) and bool(one == other)
    if isinstance(one, Secret) and isinstance(other, Secret):
        return same(one.value, other.value)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Asset | Archive) and type(one) is type(other):
        return one.sha256 == other.sha256
    return type(one) is type(other) and bool(one == other)


def mark_secret(value: Any) -> Any:
    """Return the value as a secret; a secret stays one."""
    return value if isinstance(value, Secret) else Secret(value)


# ------------------------------------------------------------------ wire


def from_wire(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return the properties of a request."""
    value: dict[str, Any] = _from_wire(json_format.MessageToDict(struct))
    return value


def value_from_wire(value: struct_pb2.Value) -> Any:
    """Return a single value of a request."""
    return _from_wire(json_format.MessageToDict(value))


def _from_wire(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_wire(item) for item in value]
    if isinstance(value, dict):
        signature = value.get(SIGNATURE)
        if signature is not None:
            return _special(signature, value, _from_wire)
        return {key: _from_wire(item) for key, item in value.items()}
    return _scalar(value)


def _scalar(value: Any) -> Any:
    """JSON has one kind of number, and text that stands for an unknown."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return UNKNOWN if value == UNKNOWN_SENTINEL else value


def _special(signature: str, value: Mapping[str, Any], convert: Callable[[Any], Any]) -> Any:
    if signature == SECRET_SIGNATURE:
        return mark_secret(convert(value["value"]))
    if signature == OUTPUT_SIGNATURE:
        inner = convert(value["value"]) if "value" in value else UNKNOWN
        return mark_secret(inner) if value.get("secret") else inner
    if signature in {ASSET_SIGNATURE, ARCHIVE_SIGNATURE}:
        kind = Asset if signature == ASSET_SIGNATURE else Archive
        return kind.of(
            sha256=value.get("hash", ""), path=value.get("path"), text=value.get("text"), uri=value.get("uri")
        )
    if signature == REFERENCE_SIGNATURE:
        identifier = value.get("id")
        return ResourceReference(
            urn=value["urn"],
            id=UNKNOWN if identifier == UNKNOWN_SENTINEL else identifier,
            package_version=value.get("packageVersion", ""),
        )
    raise ValueError(f"the engine does not know values of the kind {signature!r}")


def to_wire(values: Mapping[str, Any], *, keep_secrets: bool = True) -> struct_pb2.Struct:
    """Return properties as a response carries them."""
    struct = struct_pb2.Struct()
    json_format.ParseDict(_to_wire(values, keep_secrets), struct)
    return struct


def value_to_wire(value: Any) -> struct_pb2.Value:
    """Return a single value as a request carries it."""
    message = struct_pb2.Value()
    json_format.ParseDict(_to_wire(value, True), message)
    return message


def _to_wire(value: Any, keep_secrets: bool) -> Any:  # noqa: FBT001 - passed down unchanged
    if type(value) in _SCALARS:
        return value
    if value is UNKNOWN:
        return UNKNOWN_SENTINEL
    if isinstance(value, Secret):
        inner = _to_wire(value.value, keep_secrets)
        return {SIGNATURE: SECRET_SIGNATURE, "value": inner} if keep_secrets else inner
    if isinstance(value, Mapping):
        return {key: _to_wire(item, keep_secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_wire(item, keep_secrets) for item in value]
    return _special_json(value) if isinstance(value, Asset | Archive | ResourceReference) else value


def _special_json(value: Asset | Archive | ResourceReference) -> dict[str, Any]:
    if isinstance(value, ResourceReference):
        found: dict[str, Any] = {SIGNATURE: REFERENCE_SIGNATURE, "urn": value.urn}
        if value.id is not None:
            found["id"] = UNKNOWN_SENTINEL if value.id is UNKNOWN else value.id
        if value.package_version:
            found["packageVersion"] = value.package_version
        return found
    signature = ASSET_SIGNATURE if isinstance(value, Asset) else ARCHIVE_SIGNATURE
    found = {SIGNATURE: signature, "hash": value.sha256}
    found |= {name: part for name in ("path", "text", "uri") if (part := getattr(value, name)) is not None}
    return found


# ------------------------------------------------------------------ JSON


def to_json(value: Any, seal: Callable[[Secret], Mapping[str, Any]]) -> Any:
    """Return a value as JSON can hold it; `seal` gives what a secret's object has beside its signature."""
    if type(value) in _SCALARS:
        return value
    if value is UNKNOWN:
        return UNKNOWN_SENTINEL
    if isinstance(value, Secret):
        return {SIGNATURE: SECRET_SIGNATURE, **seal(value)}
    if isinstance(value, Mapping):
        return {key: to_json(item, seal) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item, seal) for item in value]
    return _special_json(value) if isinstance(value, Asset | Archive | ResourceReference) else value


def from_json(value: Any, unseal: Callable[[Mapping[str, Any]], Secret]) -> Any:
    """Return what `to_json` made JSON of; `unseal` opens a secret's object."""
    if isinstance(value, list):
        return [from_json(item, unseal) for item in value]
    if isinstance(value, dict):
        signature = value.get(SIGNATURE)
        if signature == SECRET_SIGNATURE:
            return unseal(value)
        if signature is not None:
            return _special(signature, value, lambda inner: from_json(inner, unseal))
        return {key: from_json(item, unseal) for key, item in value.items()}
    return _scalar(value)
