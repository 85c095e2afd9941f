"""The name of a key, and pre-shared keys derived from the mesh's root."""

import hashlib
from functools import lru_cache
from typing import Final

__all__ = ["fingerprint", "preshared_key"]

KEY_BYTES: Final = 32  # WireGuard keys of every kind, whitepaper section 5.4
# Personalisation keeps the two uses of BLAKE2b apart (at most 16 bytes, RFC 7693 section 2.5 and its
# parameter block).
_FINGERPRINT_PERSON: Final = b"wgmesh-key-fp"
_PRESHARED_PERSON: Final = b"wgmesh-psk"


def fingerprint(key: bytes) -> str:
    """Return the name of a 32 byte key: 16 hex digits that tell nothing about it.

    The agent on the node computes the same (mesh/host/files/keystore.py).
    Raises `ValueError` on another length.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"a WireGuard key has {KEY_BYTES} bytes, not {len(key)}")
    return hashlib.blake2b(key, digest_size=8, person=_FINGERPRINT_PERSON).hexdigest()


def preshared_key(root: bytes, one: str, other: str, epoch: int) -> bytes:
    """Return the pre-shared key of two nodes: 32 bytes, the same whichever is named first.

    BLAKE2b keyed by the 32 byte `root` over both names, each preceded by its length, and the epoch; who
    knows one pair's key learns nothing of the root or of another pair's.
    """
    return _derived(root, *sorted((one, other)), epoch=epoch)


@lru_cache(maxsize=8192)  # as many as 128 nodes have: each is asked for six times in a run
def _derived(root: bytes, first: str, second: str, *, epoch: int) -> bytes:
    message = epoch.to_bytes(8, "big")
    for name in (first, second):
        encoded = name.encode()
        message += len(encoded).to_bytes(2, "big") + encoded
    return hashlib.blake2b(message, digest_size=KEY_BYTES, key=root, person=_PRESHARED_PERSON).digest()
