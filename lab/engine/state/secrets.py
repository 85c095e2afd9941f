"""Pulumi's passphrase secrets: PBKDF2 and AES-GCM, kept in the stack file's `encryptionsalt`.

Format (pulumi/pulumi, sdk/go/common/... secrets/passphrase and resource/config/crypt.go):
salt `v1:<base64 of 8 bytes>:<ciphertext of "pulumi">`, ciphertext `v1:<base64 nonce>:<base64 data>`.
"""

import base64
import binascii
import contextlib
import os
from functools import lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from lab.engine.state.kept_keys import place_of
from lab.engine.state.model import StateError

__all__ = ["Crypter"]

_ITERATIONS: Final = 1_000_000
_SALT_BYTES: Final = 8
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_PROOF: Final = "pulumi"


@lru_cache(maxsize=4)
def _derive(passphrase: str, salt: bytes) -> bytes:
    """Return the key, if possible from where such keys are kept: to derive it is a fifth of a short run."""
    kept = place_of(passphrase, salt)
    key = _read(kept) if kept else None
    if key is None:
        key = PBKDF2HMAC(hashes.SHA256(), _KEY_BYTES, salt, _ITERATIONS).derive(passphrase.encode())
        if kept:
            _keep(kept, key)
    return key


def _read(kept: Path) -> bytes | None:
    """Return a key that was kept whole."""
    with contextlib.suppress(OSError):
        key = kept.read_bytes()
        if len(key) == _KEY_BYTES:
            return key
    return None


def _keep(kept: Path, key: bytes) -> None:
    """Keep a key; where that fails, the next run derives it again."""
    with contextlib.suppress(OSError):
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=kept.parent) as whole:
            whole.write(key)
            whole.flush()
            kept.unlink(missing_ok=True)
            kept.hardlink_to(whole.name)


class Crypter:
    """Encrypts and decrypts the secrets of one stack."""

    def __init__(self, key: bytes, salt: str) -> None:
        self._cipher = AESGCM(key)
        self.salt = salt
        """What `encryptionsalt` says."""

    @staticmethod
    def create(passphrase: str) -> "Crypter":
        """Make a new salt for a passphrase."""
        salt = os.urandom(_SALT_BYTES)
        crypter = Crypter(_derive(passphrase, salt), "")
        crypter.salt = f"v1:{base64.b64encode(salt).decode()}:{crypter.encrypt(_PROOF)}"
        return crypter

    @staticmethod
    def open(passphrase: str, salt: str) -> "Crypter":
        """Use an existing salt. Raises `StateError` for a wrong passphrase."""
        parts = salt.split(":", 2)
        if len(parts) != 3 or parts[0] != "v1":
            raise StateError(f"this engine cannot read the encryptionsalt {salt!r}")
        crypter = Crypter(_derive(passphrase, base64.b64decode(parts[1])), salt)
        try:
            right = crypter.decrypt(parts[2]) == _PROOF
        except StateError:
            right = False
        if not right:
            raise StateError(
                "incorrect passphrase: set PULUMI_CONFIG_PASSPHRASE to the passphrase of this stack"
            )
        return crypter

    def encrypt(self, plaintext: str) -> str:
        """Return a ciphertext; another one each time."""
        nonce = os.urandom(_NONCE_BYTES)
        data = self._cipher.encrypt(nonce, plaintext.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(data).decode()}"

    def decrypt(self, ciphertext: str) -> str:
        """Return the plaintext. Raises `StateError` when it was encrypted with another key or is damaged."""
        parts = ciphertext.split(":")
        try:
            if len(parts) == 3 and parts[0] == "v1":
                nonce, data = base64.b64decode(parts[1]), base64.b64decode(parts[2])
                return self._cipher.decrypt(nonce, data, None).decode()
        except (ValueError, binascii.Error, InvalidTag):
            pass
        raise StateError("a secret cannot be decrypted: wrong passphrase, or the state is damaged")
