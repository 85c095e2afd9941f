"""Where our units lie: in /run for a first trial, which a reboot forgets, in /etc from the first commit on.

Before a commit nothing of this host's own units may be another one, so that whoever restarts one of them, or
the host, gets what was there before.
"""

from __future__ import annotations

import contextlib
import sys

from ..difference import Difference
from .run import attempt, find_tool, make_folder, run, write_file
from .systemd import enable, knows
from .units import unit_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..places import Places
    from ..tunnel import Tunnel

__all__ = ["lend_units", "lent_paths", "put_units", "remove_units", "take_back_units", "unit_differences"]


def _texts(places: Places, tunnel: Tunnel) -> dict[str, str]:
    python = find_tool("python3") or sys.executable
    return unit_files(places, tunnel, python=python, nft=find_tool("nft") or "/usr/sbin/nft")


def put_units(places: Places, tunnel: Tunnel, enabled: Sequence[str]) -> None:
    """Put our units and drop-ins in place for good, writing what differs, and have some start at boot.

    Raises `AgentError`, `OSError`.
    """
    wrong = {
        path: text for path, text in _in(places.units, places, tunnel).items() if _read(path) != text.encode()
    }
    _write(wrong)
    changed = _remove(places.lent_units, places, tunnel) or bool(wrong)
    if not enable(enabled) and changed:
        run(["systemctl", "daemon-reload"])


def unit_differences(places: Places, tunnel: Tunnel) -> list[Difference]:
    """Say which units and drop-ins of ours are not as they were put in place."""
    return [
        Difference(str(path), "other lines" if path.exists() else "absent", "our lines")
        for path, text in _in(places.units, places, tunnel).items()
        if _read(path) != text.encode()
    ]


def lend_units(places: Places, tunnel: Tunnel) -> None:
    """Bring those units and drop-ins that are not in place into force until the next boot.

    Raises `AgentError`, `OSError`.
    """
    stored = _in(places.units, places, tunnel)
    missing = [path.relative_to(places.units) for path in stored if not path.exists()]
    if missing:
        texts = _in(places.lent_units, places, tunnel)
        lent = {places.lent_units / name: texts[places.lent_units / name] for name in missing}
        _write(lent)
        if not knows(lent):
            run(["systemctl", "daemon-reload"])


def lent_paths(places: Places, tunnel: Tunnel) -> list[Path]:
    """Return where `lend_units` puts units and drop-ins."""
    return list(_in(places.lent_units, places, tunnel))


def take_back_units(places: Places, tunnel: Tunnel) -> None:
    """Undo `lend_units`; nothing happens when nothing was lent. Raises `AgentError`, `OSError`."""
    if _remove(places.lent_units, places, tunnel):
        run(["systemctl", "daemon-reload"])


def remove_units(places: Places, tunnel: Tunnel) -> None:
    """Take away all units and drop-ins of ours. Raises `OSError`."""
    removed = [_remove(folder, places, tunnel) for folder in (places.units, places.lent_units)]
    if any(removed):
        attempt(["systemctl", "daemon-reload"])


def _in(folder: Path, places: Places, tunnel: Tunnel) -> dict[Path, str]:
    return {folder / name: text for name, text in _texts(places, tunnel).items()}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _write(files: dict[Path, str]) -> None:
    for path, text in files.items():
        make_folder(path.parent, 0o755)
        write_file(path, text.encode(), 0o644)


def _remove(folder: Path, places: Places, tunnel: Tunnel) -> bool:
    """Remove our files from a folder, and drop-in folders that are then empty; says if any were there."""
    found = False
    for path in _in(folder, places, tunnel):
        if path.is_symlink() or path.exists():
            path.unlink()
            found = True
        if path.parent != folder:
            with contextlib.suppress(OSError):  # what others put there stays
                path.parent.rmdir()
    return found
