"""What lies outside the agent's own folders: reconciled from the committed generation."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Optional

from ..answers import AgentError, Answer
from ..difference import Difference
from ..places import Places
from ..system.run import log, make_folder, replace_link
from .blocks import with_block
from .document import AUTHORIZED_KEYS, HOSTS
from .generation import Generation
from .keystore import store_keys, stored_keys
from .others import keep_aside, read_bytes, rewrite, why_locked
from .rescue import wider_rescue

__all__ = ["file_differences", "managed_links", "put_files", "require_writable"]

_Change = Callable[[Optional[bytes]], bytes]


def put_files(places: Places, generation: Generation, ssh_ports: Sequence[int]) -> None:
    """Bring keys, links, blocks and modes in line with a committed generation, writing only what differs.

    `ssh_ports` are those on which SSH comes in, for the rescue ruleset. Raises `AgentError`, `OSError`.
    """
    store_keys(places.keys, {name: generation.keys[name] for name in _lost_keys(places, generation)})
    for path, target in managed_links(places):
        _link(path, target, was_ours=places.previous.is_symlink())
    for path, (mode, change) in _texts(places, generation, ssh_ports).items():
        _edit(path, mode, change)
    for path, mode in _modes(places, generation):
        if _mode(path) != (mode, 0, 0):
            os.chown(path, 0, 0)
            path.chmod(mode)


def file_differences(places: Places, generation: Generation, ssh_ports: Sequence[int]) -> list[Difference]:
    """Say what `put_files` would change."""
    found = []
    for path, target in managed_links(places):
        if _target(path) != target:
            shown = f"a link to {_target(path)}" if path.is_symlink() else _kind(path)
            found.append(Difference(str(path), shown, f"a link to {target}"))
    for path, (_mode_if_new, change) in _texts(places, generation, ssh_ports).items():
        if _changes(path, change):
            found.append(Difference(str(path), "other lines" if path.exists() else "absent", "our lines"))
    for path, mode in _modes(places, generation):
        if _mode(path) != (mode, 0, 0):
            found.append(Difference(str(path), _shown(_mode(path)), _shown((mode, 0, 0))))
    return found + [
        Difference(str(places.keys / name), "absent", "present") for name in _lost_keys(places, generation)
    ]


def _lost_keys(places: Places, generation: Generation) -> list[str]:
    return sorted(generation.keys.keys() - stored_keys(places.keys, generation.keys))


def _kind(path: Path) -> str:
    return "a file" if path.exists() else "absent"


def _shown(mode: Optional[tuple[int, int, int]]) -> str:
    return "absent" if mode is None else f"mode {mode[0]:04o}, owner {mode[1]}:{mode[2]}"


def managed_links(places: Places) -> list[tuple[Path, str]]:
    """Return the paths that are links into the committed generation, with their targets."""
    return [
        (places.wg_conf, f"{places.current}/wg0.conf"),
        (places.sysctl_conf, f"{places.current}/sysctl.conf"),
        (places.interfaces_conf, f"{places.current}/interfaces.conf"),
        (places.firewall_conf, f"{places.current}/firewall.nft"),
    ]


def _texts(
    places: Places, generation: Generation, ssh_ports: Sequence[int]
) -> dict[Path, tuple[int, _Change]]:
    """Return the files that are texts of ours, at least in part: mode if new, and what to make of them."""
    hosts, keys = generation.files[HOSTS].encode(), generation.files[AUTHORIZED_KEYS].encode()
    return {
        places.hosts: (0o644, lambda text: with_block(text, hosts)),
        places.authorized_keys: (0o600, lambda text: with_block(text, keys)),
        places.rescue: (0o644, lambda text: _rescue(generation, ssh_ports, text)),
    }


def _rescue(generation: Generation, ssh_ports: Sequence[int], text: Optional[bytes]) -> bytes:
    """Return the rescue ruleset; one with more ports for SSH (of a session that was) stays as it is."""
    before = (text or b"").decode(errors="replace")
    return wider_rescue(before, ssh_ports, generation.file.port).encode()


def _modes(places: Places, generation: Generation) -> list[tuple[Path, int]]:
    folders = (places.state, places.keys, places.generations, generation.folder)
    files = [file for folder in folders[1::2] if folder.is_dir() for file in sorted(folder.iterdir())]
    return [*((folder, 0o700) for folder in folders), *((file, 0o600) for file in files)]


def _mode(path: Path) -> Optional[tuple[int, int, int]]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mode & 0o7777, status.st_uid, status.st_gid


def _target(path: Path) -> Optional[str]:
    return str(path.readlink()) if path.is_symlink() else None


def _link(path: Path, target: str, *, was_ours: bool) -> None:
    make_folder(path.parent, 0o700 if path.parent.name == "wireguard" else 0o755)
    if _target(path) == target:
        return
    if os.path.lexists(path):
        kept = keep_aside(path, "by-hand" if was_ours else "before-wgmesh")
        if was_ours and kept.is_file() and not kept.is_symlink():
            kept.chmod(kept.stat().st_mode & 0o700)  # a copy of ours, with keys in it, most likely
        log(f"{path} is somebody else's: kept as {kept}")
    replace_link(path, target)


def _edit(path: Path, mode: int, change: _Change) -> None:
    """Change a file, and give it this mode where it is new; a link is followed."""
    old = read_bytes(path)
    new = change(old)
    if new != old:
        rewrite(path, new, mode_if_new=mode)


def require_writable(places: Places, generation: Generation, ssh_ports: Sequence[int]) -> None:
    """Refuse what `put_files` could not bring about, because somebody locked a file. Raises `AgentError`."""
    changing = [path for path, target in managed_links(places) if _target(path) != target]
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
