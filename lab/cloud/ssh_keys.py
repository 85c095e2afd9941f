"""/ssh_keys."""

import base64
import hashlib
from typing import Any, Final

from lab.cloud.errors import ApiError, invalid
from lab.cloud.names import rename
from lab.cloud.requests import CreateSshKey, Rename, parse
from lab.cloud.state import Cloud
from lab.cloud.store import Record, now

__all__ = ["create", "delete", "update", "view"]

_SHORTEST_KEY: Final = 36  # ed25519: a length and 32 bytes (RFC 8709)


def view(_cloud: Cloud, record: Record) -> dict[str, Any]:
    """Return an SSH key as the API shows it."""
    return dict(record)


def create(cloud: Cloud, body: Any) -> dict[str, Any]:
    """Keep a public key; names and keys are unique."""
    request = parse(CreateSshKey, body)
    fingerprint = _fingerprint(request.public_key)
    cloud.store.refuse_taken("ssh_keys", request.name)
    if any(record["fingerprint"] == fingerprint for record in cloud.store.all("ssh_keys")):
        raise ApiError(
            "uniqueness_error",
            "SSH key with the same fingerprint already exists",
            {"fields": [{"name": "public_key"}]},
        )
    record = cloud.store.add(
        "ssh_keys",
        {
            "name": request.name,
            "fingerprint": fingerprint,
            "public_key": request.public_key,
            "labels": request.labels,
            "created": now(),
        },
    )
    return {"ssh_key": record}


def _fingerprint(line: str) -> str:
    words = line.split()
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (IndexError, ValueError):
        raise invalid("public_key", "not a valid SSH public key") from None
    name = words[0].encode()
    rest = blob.removeprefix(len(name).to_bytes(4, "big") + name)
    if len(blob) - len(rest) != len(name) + 4 or len(rest) < _SHORTEST_KEY:
        raise invalid("public_key", "not a valid SSH public key")
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[index : index + 2] for index in range(0, len(digest), 2))


async def update(cloud: Cloud, record: Record, body: Any) -> None:
    """Change name and labels."""
    rename(cloud.store, "ssh_keys", record, parse(Rename, body))


async def delete(cloud: Cloud, record: Record) -> dict[str, Any] | None:
    """Forget a key; servers keep what they were made with."""
    cloud.store.remove("ssh_keys", record["id"])
    return None
