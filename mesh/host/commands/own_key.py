"""The command `own-key`: the node makes its WireGuard key itself, and tells nothing but the public half."""

from __future__ import annotations

import json
import re

from ..answers import AgentError, Answer
from ..files.keystore import fingerprint, public_key
from ..files.ownkey import kept_own_key, make_own_key
from ..system.archive import ARCHIVE
from ..system.run import log
from ..trial.lock import COMMAND_WAIT, lock
from .install import make_folders
from .installed import check_archive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..places import Places

__all__ = ["own_key", "parse_own_key"]

_OWNER = re.compile(r"[0-9a-f]{32}")


def own_key(places: Places, raw: bytes) -> tuple[Answer, str]:
    """Return generation, name and public half of the node's own key; makes it where there is none yet.

    `raw` names the generation, and whose key this is. Whoever asks again for the same one gets the same key.
    This may be an agent that was copied and has not installed itself yet. Raises `AgentError`, `OSError`.
    """
    generation, owner = parse_own_key(raw)
    if places.agent == ARCHIVE:
        check_archive(places)
    make_folders(places)
    with lock(places, wait=COMMAND_WAIT):
        private = kept_own_key(places, generation, owner)
        if private is None:
            private = make_own_key(places, generation, owner)
            log(f"made the WireGuard key of generation {generation}")
    return Answer.MADE, f"{generation} {fingerprint(private)} {public_key(private)}"


def parse_own_key(raw: bytes) -> tuple[int, str]:
    """Return generation and owner that standard input names: `{"format": 1, "generation": 2, "owner": HEX}`.

    What first contact reads may be there, too. Raises `AgentError` (REFUSED).
    """
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    wanted = {"format", "generation", "owner"}
    if isinstance(value, dict) and set(value) - {"host_key"} == wanted and value["format"] == 1:
        generation, owner = value["generation"], value["owner"]
        is_number = isinstance(generation, int) and not isinstance(generation, bool)
        if is_number and generation > 0 and isinstance(owner, str) and _OWNER.fullmatch(owner):
            return generation, owner
    words = 'own-key: standard input must be {"format": 1, "generation": 1, "owner": "<32 hex digits>"}'
    raise AgentError(Answer.REFUSED, words)
