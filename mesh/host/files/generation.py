"""Generations: each a folder with all files of one document, complete, checked by a manifest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os

from ..answers import AgentError, Answer
from ..records import dataclass
from ..system.run import log, random_hex, read_json, remove_tree, replace_link, sync_folder, write_json
from .document import Document, parse_document
from .keystore import find_keys, require_keys, restore_keys
from .managed import FIREWALL, MANAGED, SYSCTL
from .mending import damage, mend
from .others import keep_aside
from .rendered import put_rendered
from .settings import parse_sysctls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Optional

    from ..places import Places
    from .wgconf import WgFile

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
    "read_document",
    "read_generation",
    "read_originals",
    "stage",
    "write_originals",
]

_DOCUMENT = "document"
_MANIFEST = "manifest.json"
_ORIGINALS = "originals.json"
# Room for a few generations of the largest mesh, and names for their files.
_FREE_BYTES = 4 * 1024 * 1024
_FREE_NAMES = 32


@dataclass(frozen=True)
class Generation:
    """A staged document, as what it asks for.

    It names keys and holds none. `originals` are the kernel settings to go back to when one of `sysctls`
    leaves; `files` are the document's by path.
    """

    folder: Path
    digest: str
    file: WgFile
    firewall: str
    sysctls: Mapping[str, str]
    originals: Mapping[str, str]
    files: Mapping[str, str]


def stage(places: Places, document: Document) -> Generation:
    """Put a document's files on disk; nothing uses them yet. The key store must have the keys they name.

    A generation that was damaged is mended file by file. Raises `AgentError` (KEYS-MISSING, NO-SPACE,
    REFUSED) or `OSError`, and leaves nothing new then.
    """
    final = places.generations / document.digest
    names = document.wg.key_names()
    lost = _lost(places, names)
    if lost:
        name = document.wg.private if document.wg.private in lost else lost[0]
        which = ", this node's private key," if name == document.wg.private else ""
        raise AgentError(
            Answer.KEYS_MISSING, f"key:{name}{which} is not in {places.keys}: send the keys again"
        )
    restore_keys(places, names)
    contents = generation_files(document)
    if final.is_dir():
        if damage(final, contents):
            _check_space(places.generations)
            mend(final, contents)
        return read_generation(places, document.digest)
    _check_space(places.generations)
    fresh = places.generations / f".{document.digest}.{random_hex(4)}.new"
    try:
        fresh.mkdir(mode=0o700)
        mend(fresh, contents)
        fresh.rename(final)
        sync_folder(places.generations)
    finally:
        remove_tree(fresh)
    return read_generation(places, document.digest)


def _lost(places: Places, names: Iterable[str]) -> list[str]:
    wanted = list(names)
    found = find_keys(places, wanted)
    return [name for name in wanted if name not in found]


def _check_space(folder: Path) -> None:
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize < _FREE_BYTES or (room.f_files and room.f_favail < _FREE_NAMES):
        raise AgentError(
            Answer.NO_SPACE, f"{folder}: less than {_FREE_BYTES >> 20} MB or {_FREE_NAMES} files free"
        )


def generation_files(document: Document) -> dict[str, bytes]:
    """Return what the files of a document's generation hold, by name. Keys are named, not held."""
    contents = {row.name: document.files[row.path].encode() for row in MANAGED if row.in_document}
    contents[_DOCUMENT] = document.raw
    manifest = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    contents.update({row.name: row.source(document.files).encode() for row in MANAGED if row.source})
    contents[_MANIFEST] = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
    return contents


def read_generation(places: Places, digest: str) -> Generation:
    """Read a generation, changing nothing: its document, whose digest is its name.

    All else follows from it and the keys. Raises `AgentError` (FAILED) when it or a key is lost.
    """
    document = read_document(places, digest)
    _require_keys(places, document)
    return as_generation(places, document)


def load_generation(places: Places, digest: str, *, just_committed: bool = False) -> Generation:
    """Read a generation and mend its files, with the committed one what is rendered; the journal tells.

    What is rendered of one that was `just_committed` is not damaged: it is of the generation before. Where
    files cannot be mended now (a full disk), the generation counts all the same. Raises as `read_generation`
    does.
    """
    document = read_document(places, digest)
    keys = _require_keys(places, document)
    folder = places.generations / digest
    try:
        restore_keys(places, keys)
        # First: what an agent before this one linked to in the generation loses its keys with the next line.
        rendered = put_rendered(places, document.files, keys) if digest == current_digest(places) else {}
        mended = {**({} if just_committed else rendered), **mend(folder, generation_files(document))}
    except OSError as error:
        log(f"{folder}: cannot make its files again now ({error.strerror}): continuing from its document")
    else:
        if mended:
            found = ", ".join(f"{name} ({words})" for name, words in mended.items())
            log(f"{folder}: made again from its document and keys: {found}")
    return as_generation(places, document)


def read_document(places: Places, digest: str) -> Document:
    """Return what all else of a generation is made of but its keys. Raises `AgentError` (FAILED)."""
    folder = places.generations / digest
    try:
        document = parse_document((folder / _DOCUMENT).read_bytes())
    except (OSError, AgentError):
        document = None
    if document is None or document.digest != digest:
        raise AgentError(Answer.FAILED, f"{folder}: its document is absent or damaged")
    return document


def _require_keys(places: Places, document: Document) -> dict[str, str]:
    """Return the keys that a document names, by fingerprint. Raises `AgentError` (FAILED) if one is lost."""
    try:
        return require_keys(places, document.wg.key_names())
    except AgentError as error:
        where = places.generations / document.digest
        raise AgentError(error.answer, f"{where}: {error.reason}") from None


def as_generation(places: Places, document: Document) -> Generation:
    """Return what a document asks for, whether its generation is there or not."""
    folder = places.generations / document.digest
    return Generation(
        folder=folder,
        digest=document.digest,
        file=document.wg,
        firewall=document.files[FIREWALL],
        sysctls=parse_sysctls(document.files[SYSCTL], where=SYSCTL),
        originals=read_originals(folder),
        files=document.files,
    )


def load_link(places: Places, link: Path) -> Optional[Generation]:
    """Read the generation `current` or `previous` points to; None when there is none or it is damaged."""
    try:
        return read_generation(places, link.readlink().name)
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
            remove_tree(folder)


def key_names_in_use(places: Places) -> set[str]:
    """Return the fingerprints of all keys that any generation on disk names."""
    names: set[str] = set()
    for folder in places.generations.iterdir():
        with contextlib.suppress(OSError, AgentError):
            names.update(parse_document((folder / _DOCUMENT).read_bytes()).wg.key_names())
    return names
