"""The command `keys`: from a bundle of keys on standard input to the key store."""

from __future__ import annotations

from ..answers import Answer
from ..files.generation import key_names_in_use
from ..files.keystore import collect_keys, parse_keys, store_keys
from ..files.rendered import collect_leftovers
from ..live.hostkey import parse_host_key, take_host_key
from ..trial.lock import COMMAND_WAIT, lock
from ..trial.record import load_trial
from .installed import check_archive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..places import Places

__all__ = ["keys"]


def keys(places: Places, raw: bytes) -> tuple[Answer, str]:
    """Store a bundle of keys and collect those that nothing names any more; returns the answer.

    Raises `AgentError`, `OSError`.
    """
    check_archive(places)
    bundle, host_key = parse_keys(raw), parse_host_key(raw)
    with lock(places, wait=COMMAND_WAIT):
        store_keys(places.keys, bundle)
        collect_leftovers(places)
        if load_trial(places) is None:  # else the way back may need keys that nothing names but its record
            collect_keys(places.keys, {*bundle, *key_names_in_use(places)})
        if host_key is not None:
            take_host_key(places, host_key)
    return Answer.STORED, f"{len(bundle)} keys"
