"""The end of a rotation: what names a key of before goes, and then the key itself."""

from __future__ import annotations

import contextlib

from ..files.generation import collect_generations, current_digest, key_names_in_use, read_document
from ..files.keystore import destroy_keys
from ..system.run import sync_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..places import Places
    from .plan import Plan

__all__ = ["forget_former_keys"]


def forget_former_keys(places: Places, plan: Plan) -> None:
    """Destroy the keys of before, and the generation before this one if it needs one of them.

    With its keys it could only bring back a node that nobody answers. Keys that only wait for a commit stay.
    May be done again. Raises `AgentError`, `OSError`.
    """
    committed = read_document(places, current_digest(places) or "absent").wg.key_names()
    former = set(plan.key_names()) - set(committed)
    with contextlib.suppress(OSError):  # there is none
        before = places.previous.readlink().name
        if former & _names_in(places, before):
            places.previous.unlink()
            sync_folder(places.state)
    collect_generations(places)
    destroy_keys(places.keys, former - key_names_in_use(places))


def _names_in(places: Places, digest: str) -> set[str]:
    from ..answers import AgentError

    try:
        return set(read_document(places, digest).wg.key_names())
    except AgentError:
        return set()
