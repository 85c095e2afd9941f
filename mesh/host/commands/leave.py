"""The command `leave`: the host is as it was before it became a node."""

from __future__ import annotations

import contextlib
import os

from ..answers import AgentError, Answer
from ..files.blocks import lines_of, made_for_block, without_block
from ..files.effective import with_later_interfaces
from ..files.generation import committed_originals
from ..files.managed import AUTHORIZED_KEYS, FIREWALL, Applied, applied_as
from ..files.others import read_bytes, rewrite
from ..files.rendered import links_to_us
from ..files.stopper import remove_stopper
from ..live.firewall import delete_table
from ..live.following import enabled_units
from ..live.interface import delete_link
from ..live.sysctl import forwarding_first, set_sysctls
from ..live.takeover import is_ours
from ..rotation.second import take_second_away
from ..system.run import attempt, log, remove_tree
from ..system.systemd import stop
from ..system.unitfiles import remove_units
from ..trial.lock import COMMAND_WAIT, lock
from ..trial.record import load_trial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from ..places import Places
    from ..tunnel import Tunnel

__all__ = ["leave"]


def leave(places: Places, tunnel: Tunnel) -> tuple[Answer, str]:
    """Take away all that was put here, and put back what was there before; the agent itself goes last.

    May be run again until it is done. The management key stays where no other key could open the host.
    Raises `AgentError` (BUSY), `OSError`.
    """
    with lock(places, wait=COMMAND_WAIT):
        if load_trial(places) is not None:
            raise AgentError(Answer.BUSY, "a trial is under way: try again when it is over")
        ours = [unit for unit in enabled_units(tunnel) if unit != tunnel.unit or is_ours(places, tunnel)]
        stop(*ours)
        take_second_away()
        attempt(["systemctl", "disable", "--quiet", *ours])
        if tunnel.unit in ours:
            delete_link(tunnel)
        delete_table()
        _restore_sysctls(places)
        _restore_links(places)
        kept = _remove_blocks(places)
        remove_units(places, tunnel)
        attempt(["systemctl", "reset-failed", *ours])
        remove_stopper(places)
    log("this host has left the mesh")
    for folder in (places.state, places.volatile, places.library):
        remove_tree(folder)
    return Answer.LEFT, kept


def _restore_sysctls(places: Places) -> None:
    originals = with_later_interfaces(places.sysctls, committed_originals(places))
    for key in forwarding_first(originals):
        _put_back(places, key, originals[key])


def _put_back(places: Places, key: str, value: str) -> None:
    try:
        set_sysctls(places.sysctls, {key: value})
    except (AgentError, OSError) as error:
        log(f"{key} stays as it is: {error}")


def _restore_links(places: Places) -> None:
    for row in applied_as(Applied.LINK, Applied.RENDERED):
        path = places.at(row.path)
        if links_to_us(places, row):
            path.unlink()
        before = path.with_name(f"{path.name}.before-wgmesh")
        if os.path.lexists(before) and not os.path.lexists(path):
            before.rename(path)
    with contextlib.suppress(OSError):  # what the operator put there stays
        places.at(FIREWALL).parent.rmdir()


def _remove_blocks(places: Places) -> str:
    """Remove our lines; returns what had to stay."""
    kept = [str(path) for path in sorted((places.ssh / "sshd_config.d").glob("10-wgmesh*.conf"))]
    for row in applied_as(Applied.BLOCK):
        path = places.at(row.path)
        text = read_bytes(path)
        rest = without_block(text or b"")
        if text is None or rest == text:
            continue
        if row.path == AUTHORIZED_KEYS and not _has_key(rest):
            kept.append(f"our lines in {path}, because only these keys can log in")
        else:
            kept += _take_out(path, text, rest)
    return f"kept: {'; '.join(kept)}" if kept else "nothing is kept"


def _take_out(path: Path, text: bytes, rest: bytes) -> list[str]:
    """Leave the rest in a file, or no file where there was none; returns what had to stay."""
    try:
        if made_for_block(text):
            path.resolve().unlink()
        else:
            rewrite(path, rest, mode_if_new=0o644)
    except (AgentError, OSError) as error:
        return [f"our lines in {path}: {error}"]
    return []


def _has_key(text: bytes) -> bool:
    return any(line.strip() and not line.lstrip().startswith(b"#") for line in lines_of(text))
