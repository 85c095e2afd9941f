"""What lies outside the agent's own folders: reconciled from the committed generation."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Optional

from .blocks import with_block
from .document import AUTHORIZED_KEYS, HOSTS
from .generation import Generation
from .places import WG_UNIT, Places
from .system import attempt, log, replace_link, run, write_file
from .systemd import active_state, disabled, enable
from .units import BOOT_UNIT, FIREWALL_UNIT, rescue_ruleset

__all__ = ["etc_differences", "reconcile", "ssh_ports"]

_ENABLED = (FIREWALL_UNIT, BOOT_UNIT, WG_UNIT)
_Change = Callable[[str], str]


def reconcile(places: Places, generation: Generation) -> None:
    """Bring links, blocks, modes and units in line with a committed generation, writing only what differs.

    Raises `AgentError` or `OSError`; may be run again at any time.
    """
    for path, target in _links(places):
        _link(path, target)
    for path, (mode, change) in _texts(places, generation).items():
        _edit(path, mode, change)
    for path, mode in _modes(places, generation):
        if _mode(path) != (mode, 0, 0):
            os.chown(path, 0, 0)
            path.chmod(mode)
    enable(_ENABLED)
    if active_state(FIREWALL_UNIT) != "active":
        attempt(["systemctl", "reset-failed", FIREWALL_UNIT])
        run(["systemctl", "start", "--no-block", FIREWALL_UNIT])


def etc_differences(places: Places, generation: Generation) -> list[str]:
    """Say in words what `reconcile` would change."""
    found = [
        f"{path} is not the link to {target}" for path, target in _links(places) if _target(path) != target
    ]
    for path, (_mode_if_new, change) in _texts(places, generation).items():
        text = _read(path.resolve())
        if text is None or change(text) != text:
            found.append(f"{path} does not hold what it should")
    for path, mode in _modes(places, generation):
        if _mode(path) != (mode, 0, 0):
            found.append(f"{path} should be root's with mode {mode:04o}")
    found += [f"{unit} is not enabled" for unit in disabled(_ENABLED)]
    return found


def _links(places: Places) -> list[tuple[Path, str]]:
    return [
        (places.wg_conf, f"{places.current}/wg0.conf"),
        (places.sysctl_conf, f"{places.current}/sysctl.conf"),
        (places.firewall_conf, f"{places.current}/firewall.nft"),
    ]


def _texts(places: Places, generation: Generation) -> dict[Path, tuple[int, _Change]]:
    """Return the files that are texts of ours, at least in part: mode if new, and what to make of them."""
    hosts, keys = generation.text(HOSTS), generation.text(AUTHORIZED_KEYS)
    rescue = rescue_ruleset(ssh_ports(), generation.file.port)
    return {
        places.hosts: (0o644, lambda text: with_block(text, hosts)),
        places.authorized_keys: (0o600, lambda text: with_block(text, keys)),
        places.rescue: (0o644, lambda _text: rescue),
    }


def _modes(places: Places, generation: Generation) -> list[tuple[Path, int]]:
    folders = (places.state, places.keys, places.generations, generation.folder)
    files = [*generation.folder.iterdir(), *places.keys.iterdir()]
    return [*((folder, 0o700) for folder in folders), *((file, 0o600) for file in files)]


def _mode(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mode & 0o7777, status.st_uid, status.st_gid


def _target(path: Path) -> Optional[str]:
    return str(path.readlink()) if path.is_symlink() else None


def _read(path: Path) -> Optional[str]:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


def ssh_ports() -> list[int]:
    """Return the ports sshd is configured to listen on."""
    shown = attempt(["sshd", "-T"]) or ""
    return sorted({int(port) for port in re.findall(r"(?m)^port (\d+)$", shown)}) or [22]


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(mode=0o700 if path.parent.name == "wireguard" else 0o755, parents=True, exist_ok=True)
    if _target(path) == target:
        return
    if path.exists() and not path.is_symlink():
        kept = path.with_name(f"{path.name}.before-wgmesh")
        log(f"{path} was there before: kept as {kept}")
        path.rename(kept)
    replace_link(path, target)


def _edit(path: Path, mode: int, change: _Change) -> None:
    """Change a file, and give it this mode where it is new; a link is followed."""
    path = path.resolve()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    old = _read(path)
    new = change(old or "")
    if new != old:
        kept = mode if old is None else path.stat().st_mode & 0o777
        write_file(path, new.encode("utf-8", "surrogateescape"), kept)
