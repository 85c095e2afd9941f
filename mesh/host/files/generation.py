"""Generations: each a folder with all files of one document, complete, checked by a manifest."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from ..answers import AgentError, Answer
from ..places import Places
from ..system.run import log, read_json, replace_link, sync_folder, write_json
from .document import AUTHORIZED_KEYS, FIREWALL, HOSTS, SYSCTL, WG_CONF, Document, parse_document
from .effective import patterns
from .keystore import fingerprint, load_keys, store_keys, stored_keys
from .mending import damage, mend
from .others import keep_aside
from .settings import parse_sysctls
from .wgconf import WgFile, complete

__all__ = [
    "Generation",
    "as_generation",
    "collect_generations",
    "commit",
    "committed_originals",
    "current_digest",
    "generation_files",
    "key_names_in_use",
    "load_generation",
    "load_link",
    "read_generation",
    "read_originals",
    "stage",
    "write_originals",
]

NAMES = {
    WG_CONF: "wg0.conf",
    FIREWALL: "firewall.nft",
    SYSCTL: "sysctl.conf",
    HOSTS: "hosts",
    AUTHORIZED_KEYS: "authorized_keys",
}
"""What a file of the document is called within a generation."""

INTERFACES = "interfaces.conf"
"""What systemd-sysctl is told of each interface; it follows from the document's kernel settings."""

_DOCUMENT = "document"
_MANIFEST = "manifest.json"
_ORIGINALS = "originals.json"
_HELD_KEY = re.compile(r"(?m)^[ \t]*(?:PrivateKey|PresharedKey)[ \t]*=[ \t]*([A-Za-z0-9+/]{43}=)")
# Room for a few generations of the largest mesh, and names for their files.
_FREE_BYTES = 4 * 1024 * 1024
_FREE_NAMES = 32


@dataclass(frozen=True)
class Generation:
    """A staged document, as what it asks for.

    `originals` are the kernel settings to go back to when one of `sysctls` leaves; `files` are the
    document's by path, `keys` base64 by fingerprint.
    """

    folder: Path
    digest: str
    file: WgFile
    firewall: str
    sysctls: Mapping[str, str]
    originals: Mapping[str, str]
    files: Mapping[str, str]
    keys: Mapping[str, str] = field(repr=False)


def stage(places: Places, document: Document) -> Generation:
    """Put a document's files on disk, keys inserted; nothing uses them yet.

    A generation that was damaged is mended file by file. Raises `AgentError` (KEYS-MISSING, NO-SPACE,
    REFUSED) or `OSError`, and leaves nothing new then.
    """
    final = places.generations / document.digest
    committed = load_link(places.current)
    spare = {**_keys_within(final), **(committed.keys if committed else {})}
    keys = load_keys(places.keys, document.wg.key_names(), spare)
    contents = generation_files(document, keys)
    if final.is_dir():
        if damage(final, contents):
            _check_space(places.generations)
            mend(final, contents)
        return read_generation(final)
    _check_space(places.generations)
    fresh = places.generations / f".{document.digest}.{secrets.token_hex(4)}.new"
    try:
        fresh.mkdir(mode=0o700)
        mend(fresh, contents)
        fresh.rename(final)
        sync_folder(places.generations)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return read_generation(final)


def _check_space(folder: Path) -> None:
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize < _FREE_BYTES or (room.f_files and room.f_favail < _FREE_NAMES):
        raise AgentError(
            Answer.NO_SPACE, f"{folder}: less than {_FREE_BYTES >> 20} MB or {_FREE_NAMES} files free"
        )


def generation_files(document: Document, keys: Mapping[str, str]) -> dict[str, bytes]:
    """Return what the files of a document's generation hold, by name."""
    contents = {NAMES[path]: text.encode() for path, text in document.files.items()}
    contents[NAMES[WG_CONF]] = complete(document.files[WG_CONF], keys).encode()
    contents[_DOCUMENT] = document.raw
    manifest = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    contents[INTERFACES] = patterns(parse_sysctls(document.files[SYSCTL], where=SYSCTL)).encode()
    contents[_MANIFEST] = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
    return contents


def read_generation(folder: Path) -> Generation:
    """Read a generation, changing nothing: its document, whose digest is its name, and the keys.

    All else follows from these. Raises `AgentError` (FAILED) when either is lost.
    """
    return as_generation(folder, *_sources(folder))


def load_generation(folder: Path) -> Generation:
    """Read a generation and mend its files, saying so in the journal.

    Where they cannot be mended now (a full disk), the generation counts all the same. Raises as
    `read_generation` does.
    """
    document, keys = _sources(folder)
    try:
        store_keys(_store(folder), {name: keys[name] for name in set(keys) - set(_stored(folder, keys))})
        mended = mend(folder, generation_files(document, keys))
    except OSError as error:
        log(f"{folder}: its files cannot be made again now ({error.strerror}): going on from its document")
    else:
        if mended:
            found = ", ".join(f"{name} ({words})" for name, words in mended.items())
            log(f"{folder}: made again from its document and keys: {found}")
    return as_generation(folder, document, keys)


def _sources(folder: Path) -> tuple[Document, dict[str, str]]:
    """Return what all else is made of. Raises `AgentError` (FAILED)."""
    try:
        document = parse_document((folder / _DOCUMENT).read_bytes())
    except (OSError, AgentError):
        document = None
    if document is None or document.digest != folder.name:
        raise AgentError(Answer.FAILED, f"{folder}: its document is absent or damaged")
    names = document.wg.key_names()
    keys = {**_keys_within(folder), **_stored(folder, names)}
    lost = [name for name in names if name not in keys]
    if lost:
        where = f"{_store(folder)} and in its {NAMES[WG_CONF]}"
        raise AgentError(Answer.FAILED, f"{folder}: key:{lost[0]} is lost both in {where}")
    return document, {name: keys[name] for name in names}


def _store(folder: Path) -> Path:
    """The key store of the generations among which this one lies."""
    return folder.parent.parent / "keys"


def _stored(folder: Path, names: Iterable[str]) -> dict[str, str]:
    return stored_keys(_store(folder), names)


def _keys_within(folder: Path) -> dict[str, str]:
    """Return the keys that the interface's file holds, by fingerprint, whoever edited it."""
    keys = {}
    with contextlib.suppress(OSError):
        text = (folder / NAMES[WG_CONF]).read_bytes().decode("ascii", "replace")
        for found in _HELD_KEY.finditer(text):
            with contextlib.suppress(ValueError):
                keys[fingerprint(found[1])] = found[1]
    return keys


def as_generation(folder: Path, document: Document, keys: Mapping[str, str]) -> Generation:
    """Return what a document asks for; `folder` is where its generation lies, or would."""
    return Generation(
        folder=folder,
        digest=document.digest,
        file=document.wg,
        firewall=document.files[FIREWALL],
        sysctls=parse_sysctls(document.files[SYSCTL], where=SYSCTL),
        originals=read_originals(folder),
        files=document.files,
        keys=keys,
    )


def load_link(link: Path) -> Optional[Generation]:
    """Read the generation `current` or `previous` points to; None when there is none or it is damaged."""
    try:
        return read_generation(link.parent / link.readlink())
    except (OSError, AgentError):
        return None


def current_digest(places: Places) -> Optional[str]:
    """Return the digest of the committed generation, damaged or not; None before the first commit."""
    try:
        return places.current.readlink().name
    except OSError:
        return None


def read_originals(folder: Path) -> dict[str, str]:
    """Return the kernel settings from before, also those of a generation that is damaged elsewhere."""
    value = read_json(folder / _ORIGINALS) or {}
    return {str(key): str(original) for key, original in value.items()}


def committed_originals(places: Places) -> dict[str, str]:
    """Return those of the committed generation, damaged or not; nothing before the first commit.

    Where they are lost, those of the generation before are the next best.
    """
    for link in (places.current, places.previous):
        if link.is_symlink() and read_json(link / _ORIGINALS) is not None:
            return read_originals(link)
    return {}


def write_originals(generation: Generation, originals: Mapping[str, str]) -> None:
    """Remember the kernel settings from before; counts from the moment the generation is committed."""
    write_json(generation.folder / _ORIGINALS, originals)


def commit(places: Places, digest: str) -> None:
    """Make a staged generation the committed one: the renaming of one symlink. Raises `OSError`."""
    for link in (places.current, places.previous):
        if link.is_dir() and not link.is_symlink():  # as a backup may have brought it back
            keep_aside(link, "by-hand")
    old = current_digest(places)
    if old != digest:
        if old is not None:
            replace_link(places.previous, f"generations/{old}")
        replace_link(places.current, f"generations/{digest}")


def _kept(places: Places) -> set[str]:
    links = (places.current, places.previous)
    return {link.readlink().name for link in links if link.is_symlink()}


def collect_generations(places: Places) -> None:
    """Remove every generation but the committed one and the one before it."""
    kept = _kept(places)
    for folder in places.generations.iterdir():
        if folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)


def key_names_in_use(places: Places) -> set[str]:
    """Return the fingerprints of all keys that any generation on disk names."""
    names: set[str] = set()
    for folder in places.generations.iterdir():
        with contextlib.suppress(OSError, AgentError):
            names.update(parse_document((folder / _DOCUMENT).read_bytes()).wg.key_names())
    return names
