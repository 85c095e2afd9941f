"""The WireGuard key that a node made itself: one for each generation that was asked for, the last one kept.

The key lies in the key store as any other. A record names the generation and the owner, so that whoever asks
again for the same one gets the same key, and a copy of this disk in another server makes one of its own.
"""

from __future__ import annotations

import base64
import os

from ..system.run import read_json, write_json
from .keystore import fingerprint, restore_keys, store_keys, stored_keys
from .wgconf import clamped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..places import Places

__all__ = ["kept_own_key", "make_own_key", "own_key_names"]

_KEY_BYTES = 32


def kept_own_key(places: Places, generation: int, owner: str) -> Optional[str]:
    """Return the private key that was made for a generation, base64; None where there is none, or it is lost.

    Raises `OSError`.
    """
    record = read_json(places.own_key) or {}
    name = record.get("key")
    if (record.get("generation"), record.get("owner")) != (generation, owner) or not isinstance(name, str):
        return None
    restore_keys(places, [name])
    return stored_keys(places.keys, [name]).get(name)


def make_own_key(places: Places, generation: int, owner: str) -> str:
    """Make the private key of a generation, base64: first the key, then its record. Raises `OSError`."""
    key = clamped(base64.b64encode(os.urandom(_KEY_BYTES)).decode())
    store_keys(places.keys, {fingerprint(key): key})
    write_json(
        places.own_key, {"format": 1, "generation": generation, "owner": owner, "key": fingerprint(key)}
    )
    return key


def own_key_names(places: Places) -> set[str]:
    """Return the fingerprint of the key that was made last: no file may name it yet."""
    name = (read_json(places.own_key) or {}).get("key")
    return {name} if isinstance(name, str) else set()
