"""The keys of a node, each in a file named by the key's own fingerprint."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re

from ..answers import AgentError, Answer
from ..system.run import make_folder, run, write_file
from .managed import Applied, applied_as
from .wgconf import clamped, key_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ..places import Places

__all__ = [
    "collect_keys",
    "destroy_keys",
    "find_keys",
    "fingerprint",
    "names_of",
    "parse_keys",
    "public_key",
    "require_keys",
    "restore_keys",
    "store_keys",
    "stored_keys",
]

# Personalisation of BLAKE2b, so that this name says nothing about any other use of the key.
_PERSON = b"wgmesh-key-fp"
# What mesh/host/live/hostkey.py reads.
_MORE = {"host_key", "former_host_key"}
_HELD_KEY = re.compile(r"(?m)^[ \t]*(?:PrivateKey|PresharedKey)[ \t]*=[ \t]*([A-Za-z0-9+/]{43}=)")


def fingerprint(key: str) -> str:
    """Return the name of a key given in base64: 16 hex digits. Raises `ValueError` without the key."""
    return hashlib.blake2b(key_bytes(key), digest_size=8, person=_PERSON).hexdigest()


def public_key(private: str) -> str:
    """Return the public half of a private key, both base64. Raises `AgentError`."""
    return run(["wg", "pubkey"], stdin=f"{clamped(private)}\n").strip()


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
    if not isinstance(value["keys"], list):
        raise AgentError(Answer.REFUSED, "keys: `keys` must be a list")
    return dict(_named(index, key) for index, key in enumerate(value["keys"]))


def _named(index: int, key: object) -> tuple[str, str]:
    try:
        return fingerprint(str(key)), str(key)
    except ValueError as error:
        raise AgentError(Answer.REFUSED, f"keys[{index}]: {error}") from None


def store_keys(folder: Path, keys: dict[str, str]) -> None:
    """Put keys into the store, each in one step and readable by root alone. Raises `OSError`."""
    make_folder(folder, 0o700)
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


def find_keys(places: Places, names: Iterable[str]) -> dict[str, str]:
    """Read keys by fingerprint from the store; one that is lost there from a file that it was put into.

    That is the interface's file, or a generation of an agent that kept keys there. What is nowhere is left
    out.
    """
    wanted = list(names)
    found = stored_keys(places.keys, wanted)
    if len(found) < len(wanted):
        found = {**_keys_put_in(places), **found}
    return {name: found[name] for name in wanted if name in found}


def _keys_put_in(places: Places) -> dict[str, str]:
    """Return the keys that interfaces' files hold, by fingerprint, whoever edited them."""
    keys = {}
    for row in applied_as(Applied.RENDERED):
        for path in (places.state / row.name, *places.generations.glob(f"*/{row.name}")):
            with contextlib.suppress(OSError):
                for found in _HELD_KEY.finditer(path.read_bytes().decode("ascii", "replace")):
                    with contextlib.suppress(ValueError):
                        keys[fingerprint(found[1])] = found[1]
    return keys


def require_keys(places: Places, names: Iterable[str]) -> dict[str, str]:
    """Read keys as `find_keys` does. Raises `AgentError` (FAILED), which names the first that is lost."""
    wanted = list(names)
    found = find_keys(places, wanted)
    for name in wanted:
        if name not in found:
            files = " and in ".join(str(places.state / row.name) for row in applied_as(Applied.RENDERED))
            raise AgentError(Answer.FAILED, f"key:{name} is lost both in {places.keys} and in {files}")
    return found


def restore_keys(places: Places, names: Iterable[str]) -> None:
    """Put keys that are lost in the store back into it, as far as they are found. Raises `OSError`."""
    wanted = list(names)
    lost = set(wanted) - set(stored_keys(places.keys, wanted))
    store_keys(places.keys, find_keys(places, lost))


def names_of(places: Places, keys: Iterable[str]) -> dict[str, str]:
    """Return the fingerprints of keys as an interface has them; one that is not in the store goes there.

    A private key has lost on the way the bits that Curve25519 ignores. Raises `OSError`.
    """
    stored = stored_keys(places.keys, (path.name for path in places.keys.iterdir()))
    known = {clamped(key): name for name, key in stored.items()}
    known.update({key: name for name, key in stored.items()})
    wanted = set(keys)
    store_keys(places.keys, {fingerprint(key): key for key in wanted - set(known)})
    return {key: known.get(key) or fingerprint(key) for key in wanted}


def collect_keys(folder: Path, keep: Iterable[str]) -> list[str]:
    """Destroy every key that is not in `keep`, and what an interrupted write left; returns the names."""
    kept = set(keep)
    gone = sorted(path for path in folder.iterdir() if path.name not in kept)
    destroy_keys(folder, (path.name for path in gone))
    return [path.name for path in gone]


def destroy_keys(folder: Path, names: Iterable[str]) -> None:
    """Remove keys, each overwritten first, so that nothing stays on a disk that is written in place.

    One that is not there is fine. Raises `OSError`.
    """
    for path in (folder / name for name in names):
        with contextlib.suppress(OSError), path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink(missing_ok=True)
