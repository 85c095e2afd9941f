"""The command `keys`: from a bundle of keys on standard input to the key store.

With the digest of an agent, this very agent stores them: one that has just been copied installs itself first.
"""

from __future__ import annotations

from ..answers import AgentError, Answer
from ..files.generation import key_names_in_use
from ..files.keystore import collect_keys, parse_keys, store_keys
from ..files.ownkey import own_key_names
from ..files.rendered import collect_leftovers
from ..live.hostkey import parse_host_key, take_host_key
from ..rotation.planned import planned_key_names
from ..system.archive import ARCHIVE
from ..system.faults import step
from ..trial.lock import COMMAND_WAIT, lock
from ..trial.record import load_trial
from .installed import check_archive, recorded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..live.hostkey import HostKey
    from ..places import Places
    from ..tunnel import Tunnel

__all__ = ["keys", "keys_by"]


def keys(places: Places, raw: bytes) -> tuple[Answer, str]:
    """Store a bundle of keys and collect those that nothing names any more; returns the answer.

    Raises `AgentError`, `OSError`.
    """
    check_archive(places)
    bundle, host_key = parse_keys(raw), parse_host_key(raw)
    with lock(places, wait=COMMAND_WAIT):
        return _store(places, bundle, host_key)


def keys_by(places: Places, tunnel: Tunnel, raw: bytes, *, agent: str) -> tuple[Answer, str]:
    """Have the keys stored by one agent: `agent` is the SHA-256 of its file as it was sent, hex.

    May be done again at any time, also after it was interrupted anywhere. Raises `AgentError`, `OSError`.
    """
    if places.agent == ARCHIVE:
        _require_sent(places, agent)
        return keys(places, raw)
    from .install import put_in_place, require_installable

    bundle, host_key = parse_keys(raw), parse_host_key(raw)
    require_installable(agent)
    with lock(places, wait=COMMAND_WAIT):
        put_in_place(places, tunnel, agent)
        step("installed")
        answer = _store(places, bundle, host_key)
        step("stored")
        if places.incoming == ARCHIVE:  # last of all: whatever this process still imports is in this file
            ARCHIVE.unlink()
    return answer


def _store(places: Places, bundle: dict[str, str], host_key: Optional[HostKey]) -> tuple[Answer, str]:
    store_keys(places.keys, bundle)
    collect_leftovers(places)
    if load_trial(places) is None:  # else the way back may need keys that nothing names but its record
        named = {*key_names_in_use(places), *planned_key_names(places), *own_key_names(places)}
        collect_keys(places.keys, {*bundle, *named})
    if host_key is not None:
        take_host_key(places, host_key)
    return Answer.STORED, f"{len(bundle)} keys"


def _require_sent(places: Places, agent: str) -> None:
    """Refuse to be another agent than the one whose keys these are. Raises `AgentError`."""
    record = recorded(places)
    if record is None or record.sent != agent:
        found = record.sent if record else "unknown"
        raise AgentError(
            Answer.REFUSED,
            f"the agent on this node has the digest {found}, but {agent} was expected, and "
            f"{places.incoming} does not exist: copy the file again",
        )
