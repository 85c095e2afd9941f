"""Where keys that were derived from a passphrase are kept: nowhere, unless that passphrase is no secret."""

import hashlib
import os
from pathlib import Path
from typing import Final

__all__ = ["KEPT_KEYS", "place_of"]

KEPT_KEYS: Final = "LAB_ENGINE_KEPT_KEYS"
"""Environment variable with the folder; set for a passphrase that everybody knows, as that of a rehearsal."""


def place_of(passphrase: str, salt: bytes) -> Path | None:
    """Return the file of a key, which may not be there; None where no key is kept."""
    folder = os.environ.get(KEPT_KEYS)
    return Path(folder) / hashlib.sha256(salt + passphrase.encode()).hexdigest() if folder else None
