"""Generations: each a folder with all files of one document, complete, checked by a manifest."""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from .answers import AgentError, Answer
from .device import Device, Link, wanted_device, wanted_link
from .document import AUTHORIZED_KEYS, FIREWALL, HOSTS, SYSCTL, WG_CONF, Document, parse_document
from .firewall import check_firewall
from .keystore import fingerprint, load_keys
from .places import Places
from .sysctl import check_sysctls, parse_sysctls
from .system import read_json, replace_link, run, sync_folder, write_file, write_json
from .wgconf import KEY_LINE, WgFile, complete

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
    "read_originals",
    "stage",
    "validate",
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

_DOCUMENT = "document"
_MANIFEST = "manifest.json"
_ORIGINALS = "originals.json"
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
    device: Device
    link: Link
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
    try:
        return load_generation(final)
    except AgentError:
        pass
    committed = load_link(places.current)
    keys = load_keys(places.keys, document.wg.key_names(), committed.keys if committed else {})
    _check_space(places.generations)
    if final.is_dir():
        _fill(final, document, keys)
        return load_generation(final)
    fresh = places.generations / f".{document.digest}.{secrets.token_hex(4)}.new"
    try:
        fresh.mkdir(mode=0o700)
        _fill(fresh, document, keys)
        fresh.rename(final)
        sync_folder(places.generations)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return load_generation(final)


def _check_space(folder: Path) -> None:
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize < _FREE_BYTES or (room.f_files and room.f_favail < _FREE_NAMES):
        raise AgentError(
            Answer.NO_SPACE, f"{folder}: less than {_FREE_BYTES >> 20} MB or {_FREE_NAMES} files free"
        )


def _fill(folder: Path, document: Document, keys: Mapping[str, str]) -> None:
    contents = generation_files(document, keys)
    manifest = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    for name, content in contents.items():
        write_file(folder / name, content, 0o600)
    write_json(folder / _MANIFEST, manifest)


def generation_files(document: Document, keys: Mapping[str, str]) -> dict[str, bytes]:
    """Return what the files of a document's generation hold, by name."""
    contents = {NAMES[path]: text.encode() for path, text in document.files.items()}
    contents[NAMES[WG_CONF]] = complete(document.files[WG_CONF], keys).encode()
    contents[_DOCUMENT] = document.raw
    return contents


def load_generation(folder: Path) -> Generation:
    """Load a generation and check every byte of it.

    Raises `AgentError` (FAILED) when it is absent or damaged.
    """
    try:
        contents = _contents(folder)
        document = parse_document(contents[_DOCUMENT])
        keys = _keys_of(document, contents[NAMES[WG_CONF]].decode())
    except (OSError, ValueError, AgentError):
        raise AgentError(Answer.FAILED, f"{folder} is absent or damaged") from None
    return as_generation(folder, document, keys)


def as_generation(folder: Path, document: Document, keys: Mapping[str, str]) -> Generation:
    """Return what a document asks for; `folder` is where its generation lies, or would."""
    return Generation(
        folder=folder,
        digest=document.digest,
        file=document.wg,
        device=wanted_device(document.wg, keys),
        link=wanted_link(document.wg),
        firewall=document.files[FIREWALL],
        sysctls=parse_sysctls(document.files[SYSCTL], where=SYSCTL),
        originals=read_originals(folder),
        files=document.files,
        keys=keys,
    )


def _contents(folder: Path) -> dict[str, bytes]:
    """Read the files of a generation; raises `OSError` or `ValueError` unless each is what was staged."""
    manifest = json.loads((folder / _MANIFEST).read_text())
    contents = {name: (folder / name).read_bytes() for name in (*NAMES.values(), _DOCUMENT)}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    if digests != manifest or digests[_DOCUMENT] != folder.name:
        raise ValueError("checksum")
    return contents


def _keys_of(document: Document, completed: str) -> dict[str, str]:
    keys = {}
    for named, real in zip(document.files[WG_CONF].splitlines(), completed.splitlines()):
        found = KEY_LINE.fullmatch(named)
        if found:
            key = real.partition(" = ")[2]
            if fingerprint(key) != found[2]:
                raise ValueError("key")
            keys[found[2]] = key
    return keys


def validate(places: Places, generation: Generation) -> None:
    """Refuse a generation that cannot work, without touching anything live. Raises `AgentError`."""
    private = generation.device.private_key or ""
    public = run(["wg", "pubkey"], stdin=f"{private}\n").strip()
    if public in generation.device.peers:
        raise AgentError(Answer.REFUSED, f"{WG_CONF}: {public} is this node's own key, not a peer's")
    check_sysctls(places.sysctls, generation.sysctls, where=SYSCTL)
    check_firewall(generation.firewall, where=FIREWALL)


def load_link(link: Path) -> Optional[Generation]:
    """Load the generation `current` or `previous` points to; None when there is none or it is damaged."""
    try:
        return load_generation(link.parent / link.readlink())
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
    """Return those of the committed generation, damaged or not; nothing before the first commit."""
    digest = current_digest(places)
    return read_originals(places.generations / digest) if digest else {}


def write_originals(generation: Generation, originals: Mapping[str, str]) -> None:
    """Remember the kernel settings from before; counts from the moment the generation is committed."""
    write_json(generation.folder / _ORIGINALS, originals)


def commit(places: Places, digest: str) -> None:
    """Make a staged generation the committed one: the renaming of one symlink. Raises `OSError`."""
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
