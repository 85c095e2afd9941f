"""The keys of a node, each in a file named by the key's own fingerprint."""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..answers import AgentError, Answer
from ..system.run import write_file
from .wgconf import key_bytes

__all__ = ["collect_keys", "fingerprint", "load_keys", "parse_keys", "store_keys", "stored_keys"]

# Personalisation of BLAKE2b, so that this name says nothing about any other use of the key.
_PERSON = b"wgmesh-key-fp"
# What mesh/host/live/hostkey.py reads.
_MORE = {"host_key", "former_host_key"}


def fingerprint(key: str) -> str:
    """Return the name of a key given in base64: 16 hex digits. Raises `ValueError` without the key."""
    return hashlib.blake2b(key_bytes(key), digest_size=8, person=_PERSON).hexdigest()


def parse_keys(raw: bytes) -> dict[str, str]:
    """Parse what `keys` reads: `{"format": 1, "keys": [base64, ...]}`; returns them by fingerprint.

    Raises `AgentError` (REFUSED), which tells the place of a bad key but nothing of its content.
    """
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if not isinstance(value, dict) or set(value) - _MORE != {"format", "keys"} or value["format"] != 1:
        raise AgentError(Answer.REFUSED, 'keys: standard input must be {"format": 1, "keys": [...]}')
    if not isinstance(value["keys"], list) or not value["keys"]:
        raise AgentError(Answer.REFUSED, "keys: `keys` must be a list with at least one key")
    return dict(_named(index, key) for index, key in enumerate(value["keys"]))


def _named(index: int, key: object) -> tuple[str, str]:
    try:
        return fingerprint(str(key)), str(key)
    except ValueError as error:
        raise AgentError(Answer.REFUSED, f"keys[{index}]: {error}") from None


def store_keys(folder: Path, keys: dict[str, str]) -> None:
    """Put keys into the store, each in one step and readable by root alone. Raises `OSError`."""
    for name, key in keys.items():
        path = folder / name
        content = f"{key}\n".encode()
        if path.is_file() and path.read_bytes() == content and path.stat().st_mode & 0o777 == 0o600:
            continue
        write_file(path, content, 0o600)


def stored_keys(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Read keys by fingerprint; one that is absent, or is not the key its name says, is left out."""
    keys = {}
    for name in names:
        with contextlib.suppress(OSError, ValueError):
            key = (folder / name).read_text().strip()
            if fingerprint(key) == name:
                keys[name] = key
    return keys


def load_keys(folder: Path, names: Iterable[str], spare: Mapping[str, str]) -> dict[str, str]:
    """Read keys by fingerprint from the store, else from `spare`.

    Raises `AgentError` (KEYS-MISSING) when one is in neither.
    """
    wanted = list(names)
    keys = {**spare, **stored_keys(folder, wanted)}
    for name in wanted:
        if name not in keys:
            raise AgentError(Answer.KEYS_MISSING, f"key:{name} is not in {folder}: send the keys again")
    return {name: keys[name] for name in wanted}


def collect_keys(folder: Path, keep: Iterable[str]) -> list[str]:
    """Remove every key that is not in `keep`, and what an interrupted write left; returns the names."""
    kept = set(keep)
    gone = sorted(path for path in folder.iterdir() if path.name not in kept)
    for path in gone:
        path.unlink()
    return [path.name for path in gone]
