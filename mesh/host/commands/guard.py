"""The guard of our table: who takes the table away, by whatever means, gets it back at once."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from pathlib import Path

from ..answers import AgentError
from ..files.generation import current_digest, read_document
from ..files.managed import FIREWALL, managed
from ..live.firewall import (
    check_firewall,
    delete_table,
    emptied_chains,
    is_loaded,
    load_missing_table,
    load_table,
    table_exists,
)
from ..places import TABLE, Places
from ..system.netlink import Message, changes, messages, text
from ..system.run import log
from ..trial.expiry import end_forgotten
from ..trial.record import load_trial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Optional

__all__ = ["guard", "table_up", "who_did_it"]

# Seconds between looks at the table that nobody asked for; the unit's watchdog waits three times as long.
_TICK = 20.0
# Seconds until a table that does not load is tried again.
_AGAIN = 5.0
_LOOKS = 5
# linux/netfilter/nf_tables.h and linux/netfilter.h
_NEW_TABLE, _DELETED_TABLE, _DELETED_CHAIN, _DELETED_RULE, _NEW_GENERATION = 0, 2, 5, 8, 15
_TAKEN = (_DELETED_TABLE, _DELETED_CHAIN, _DELETED_RULE)
_TABLE_NAME, _TABLE_FLAGS = 1, 2  # the name has the same number in chains and rules
_DORMANT = 1
_PROCESS_ID, _PROCESS_NAME = 2, 3
_INET = 1
_LIKELY = {
    "nft": "most likely `nft flush ruleset`: /etc/nftables.conf begins with that on Debian",
    "firewalld": "firewalld was started, reloaded or stopped",
}


def table_up(places: Places) -> None:
    """Load our table as it is in force, if it is missing or emptied; nothing happens where none should be.

    Never overwrites a table of which every chain that should hold rules does. Raises `AgentError` (FAILED)
    when it does not load.
    """
    _bring_back(places)


def _bring_back(places: Places) -> bool:
    """Do as `table_up` does; tells whether there was need."""
    needed = False
    for _look in range(_LOOKS):
        wanted = _in_force(places)
        if wanted is None:
            break
        file = _firewall(places, wanted)
        loaded = _refill(places, file, wanted) if table_exists() else load_missing_table(file)
        needed = needed or loaded
        now = _in_force(places)
        if now == wanted:
            if loaded:
                log(f"the table inet {TABLE} was missing or empty: loaded again from {wanted}")
            break
        if loaded:  # a trial ended meanwhile: what was loaded is nobody's any more
            _settle(places, now)
    return needed


def _refill(places: Places, file: str, wanted: str) -> bool:
    """Replace a table whose chains somebody emptied; tells whether there was need.

    The rescue ruleset has fewer chains and stays: the file in force did not load at boot.
    """
    emptied = emptied_chains(places, file)
    if not emptied or _is_rescue(places):
        return False
    log(f"the table inet {TABLE} has no rules in force in {', '.join(emptied)}: loading {wanted} again")
    load_table(file)
    return True


def _is_rescue(places: Places) -> bool:
    try:
        return is_loaded(places, places.rescue.read_text())
    except (AgentError, OSError, ValueError):  # absent or damaged
        return False


def _settle(places: Places, wanted: Optional[str]) -> None:
    if wanted is None:
        delete_table()
    else:
        load_table(_firewall(places, wanted))


def _in_force(places: Places) -> Optional[str]:
    """Return the digest whose table is in force: the running trial's, else the committed one."""
    trial = load_trial(places)
    if trial is not None and trial.in_force:
        return trial.digest
    return current_digest(places)


def _firewall(places: Places, digest: str) -> str:
    """Return the table of a generation; of a damaged one its file, where that is whole, else the rescue."""
    folder = places.generations / digest
    try:
        return read_document(places, digest).files[FIREWALL]
    except AgentError:
        path = folder / managed(FIREWALL).name
    try:
        found = path.read_text()
        check_firewall(found, where=str(path))
    except (AgentError, OSError, ValueError):
        log(f"{folder} is damaged: loading the rescue ruleset")
        return places.rescue.read_text()
    return found


def guard(places: Places) -> None:
    """Watch for ever: whenever our table goes, bring it back; and end a trial that nobody ended.

    Raises `OSError` without netlink.
    """
    with changes() as heard:
        _tell_systemd("READY=1")
        culprit = ""
        while True:
            end_forgotten(places)
            wait = _TICK if _look(places, culprit) else _AGAIN
            culprit = _wait(heard, wait)


def _look(places: Places, culprit: str) -> bool:
    """Bring the table back if it is gone or empty; tells whether it is as it should be."""
    try:
        gone = _bring_back(places)
    except (AgentError, OSError) as error:
        log(f"the table inet {TABLE} is missing or empty, and cannot be loaded again: {error}")
        return False
    if gone and culprit:
        log(f"the table inet {TABLE} was removed by {culprit}")
    return True


def _wait(heard: socket.socket, seconds: float) -> str:
    """Wait until our table was taken away, or so many seconds; tells who did it, in words."""
    while True:
        _tell_systemd("WATCHDOG=1")
        ready, _, _ = select.select([heard], [], [], seconds)
        if not ready:
            return ""
        gone, culprit = _hear(heard)
        if gone:
            return culprit


def _hear(heard: socket.socket) -> tuple[bool, str]:
    """Read what was told: whether our table may be gone or emptied, and who did it."""
    gone, culprit = False, ""
    try:
        for message in messages(heard):
            ours = message.family == _INET and text(message.attributes.get(_TABLE_NAME)) == TABLE
            if ours and message.kind in (_NEW_TABLE, *_TAKEN):
                gone, culprit = message.kind in _TAKEN or _dormant(message), ""
            elif message.kind == _NEW_GENERATION and gone and not culprit:
                culprit = who_did_it(message.attributes)
    except OSError as error:
        if error.errno != errno.ENOBUFS:
            raise
        return True, "an unknown program (too many changes at once)"
    return gone, culprit or "an unknown program"


def _dormant(message: Message) -> bool:
    flags = message.attributes.get(_TABLE_FLAGS, bytes(4))
    return bool(struct.unpack(">I", flags)[0] & _DORMANT)


def who_did_it(attributes: Mapping[int, bytes]) -> str:
    """Name a program and its unit from what the kernel tells of a change's process."""
    name = text(attributes.get(_PROCESS_NAME))
    pid = struct.unpack(">I", attributes.get(_PROCESS_ID, bytes(4)))[0]
    unit = _unit(pid, name)
    likely = "" if unit else _LIKELY.get(name, "")
    return f"`{name}` (process {pid}{f' of {unit}' if unit else ''})" + (f", {likely}" if likely else "")


def _unit(pid: int, name: str) -> str:
    """Return the unit of a process that is still there; its id may be another process's by now."""
    folder = Path("/proc", str(pid))
    try:
        if folder.joinpath("comm").read_text().strip() != name:
            return ""
        group = folder.joinpath("cgroup").read_text()
    except OSError:
        return ""
    return group.strip().rpartition("/")[2]


def _tell_systemd(state: str) -> None:
    """Tell systemd that we are up or alive (sd_notify(3)); never waits."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out:
        try:
            out.sendto(state.encode(), address.replace("@", "\0", 1))
        except OSError:
            return
