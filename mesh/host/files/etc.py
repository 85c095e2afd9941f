"""What lies outside the agent's own folders: reconciled from the committed generation."""

from __future__ import annotations

import os

from ..answers import AgentError, Answer
from ..difference import Difference
from ..system.run import log, make_folder, replace_link
from .blocks import with_block
from .keystore import require_keys, restore_keys, stored_keys
from .managed import Applied, Managed, Secrets, applied_as
from .others import keep_aside, read_bytes, rewrite, why_locked
from .rendered import link_target, links_to_us, put_rendered
from .rescue import wider_rescue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Optional

    from ..places import Places
    from .generation import Generation

    _Change = Callable[[Optional[bytes]], bytes]

__all__ = ["file_differences", "put_files", "require_writable"]

_LINKS = applied_as(Applied.LINK, Applied.RENDERED)


def put_files(places: Places, generation: Generation, ssh_ports: Sequence[int]) -> None:
    """Bring keys, rendered files, links, blocks and modes in line with a committed generation.

    Writes only what differs. `ssh_ports` are those on which SSH comes in, for the rescue ruleset. Raises
    `AgentError`, `OSError`.
    """
    names = generation.file.key_names()
    restore_keys(places, names)
    put_rendered(places, generation.files, require_keys(places, names))
    was_ours = places.previous.is_symlink() or any(links_to_us(places, row) for row in _LINKS)
    for row in _LINKS:
        _link(places, row, "by-hand" if was_ours else "before-wgmesh")
    for path, (mode, change) in _texts(places, generation, ssh_ports).items():
        _edit(path, mode, change)
    for path, mode in _modes(places, generation):
        if _mode(path) != (mode, 0, 0):
            os.chown(path, 0, 0)
            path.chmod(mode)


def file_differences(places: Places, generation: Generation, ssh_ports: Sequence[int]) -> list[Difference]:
    """Say what `put_files` would change, but for contents."""
    found = []
    for row in _LINKS:
        path, target = places.at(row.path), link_target(places, row)
        if _target(path) != target:
            shown = f"a link to {_target(path)}" if path.is_symlink() else _kind(path)
            found.append(Difference(str(path), shown, f"a link to {target}"))
    for path, (_mode_if_new, change) in _texts(places, generation, ssh_ports).items():
        if _changes(path, change):
            found.append(Difference(str(path), "other lines" if path.exists() else "absent", "our lines"))
    for path, mode in _modes(places, generation):
        if _mode(path) != (mode, 0, 0):
            found.append(Difference(str(path), _shown(_mode(path)), _shown((mode, 0, 0))))
    names = generation.file.key_names()
    lost = sorted(set(names) - set(stored_keys(places.keys, names)))
    return found + [Difference(str(places.keys / name), "absent", "present") for name in lost]


def _kind(path: Path) -> str:
    return "a file" if path.exists() else "absent"


def _shown(mode: Optional[tuple[int, int, int]]) -> str:
    return "absent" if mode is None else f"mode {mode[0]:04o}, owner {mode[1]}:{mode[2]}"


def _texts(
    places: Places, generation: Generation, ssh_ports: Sequence[int]
) -> dict[Path, tuple[int, _Change]]:
    """Return the files that are texts of ours, at least in part: mode if new, and what to make of them."""
    found: dict[Path, tuple[int, _Change]] = {}
    for row in applied_as(Applied.BLOCK):
        found[places.at(row.path)] = row.mode, _block(generation.files[row.path].encode())
    for row in applied_as(Applied.MADE):
        found[places.at(row.path)] = row.mode, lambda text: _rescue(generation, ssh_ports, text)
    return found


def _block(lines: bytes) -> _Change:
    return lambda text: with_block(text, lines)


def _rescue(generation: Generation, ssh_ports: Sequence[int], text: Optional[bytes]) -> bytes:
    before = (text or b"").decode(errors="replace")
    return wider_rescue(before, ssh_ports, generation.file.port).encode()


def _modes(places: Places, generation: Generation) -> list[tuple[Path, int]]:
    """Return our folders and all files that are for root's eyes alone, with the modes they must have."""
    folders = [places.state, places.keys, places.generations, generation.folder]
    files = [*_listed(places.keys), *_listed(generation.folder)]
    return [*((folder, 0o700) for folder in folders), *((file, 0o600) for file in files)]


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _mode(path: Path) -> Optional[tuple[int, int, int]]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mode & 0o7777, status.st_uid, status.st_gid


def _target(path: Path) -> Optional[str]:
    return str(path.readlink()) if path.is_symlink() else None


def _link(places: Places, row: Managed, kept_as: str) -> None:
    path, target = places.at(row.path), link_target(places, row)
    make_folder(path.parent, 0o700 if row.secrets is Secrets.KEY_STORE else 0o755)
    if _target(path) == target:
        return
    if os.path.lexists(path) and not links_to_us(places, row):
        kept = keep_aside(path, kept_as)
        if kept_as == "by-hand" and kept.is_file() and not kept.is_symlink():
            kept.chmod(kept.stat().st_mode & 0o700)  # a copy of ours, with keys in it, most likely
        log(f"{path} belongs to another program: kept as {kept}")
    replace_link(path, target)


def _edit(path: Path, mode: int, change: _Change) -> None:
    """Change a file, and give it this mode where it is new; a link is followed."""
    old = read_bytes(path)
    new = change(old)
    if new != old:
        rewrite(path, new, mode_if_new=mode)


def require_writable(places: Places, generation: Generation, ssh_ports: Sequence[int]) -> None:
    """Refuse what `put_files` could not bring about, because somebody locked a file. Raises `AgentError`."""
    changing = [
        places.at(row.path) for row in _LINKS if _target(places.at(row.path)) != link_target(places, row)
    ]
    changing += [
        path
        for path, (_mode, change) in _texts(places, generation, ssh_ports).items()
        if _changes(path, change)
    ]
    for path in changing:
        locked = why_locked(path)
        if locked is not None:
            raise AgentError(Answer.REFUSED, f"{path} must change, but {locked}")


def _changes(path: Path, change: _Change) -> bool:
    text = read_bytes(path)
    return change(text) != text
