"""Pure: how far a node's rotation has come, as its disk has it."""

from __future__ import annotations

import json
from enum import Enum

from ..records import asdict, dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .plan import Plan

__all__ = ["Phase", "Progress", "first_progress", "parse_progress", "progress_json"]

_NAMES = ("moved", "back", "heard_back", "confirmed", "settled")


class Phase(Enum):
    """What a node's interfaces hold.

    BOTH: wg0 the keys before, wg0-next the next ones. REKEYED: both the next ones. LINGER: wg0-next is gone,
    and the node only speaks on, for peers that have not heard of it.
    """

    BOTH = "both"
    REKEYED = "rekeyed"
    LINGER = "linger"


@dataclass(frozen=True)
class Progress:
    """The steps done, by names of peers; nothing is taken back.

    To `moved` the node sends by wg0-next, until they are in `back`: then by wg0 with its next keys. Those in
    `heard_back` do so towards this node, and those in `confirmed` have recorded that it does. `settled` are
    peers that the controller has seen at their end, without this node. `began` is in seconds since 1970.
    """

    plan: str
    phase: Phase
    moved: frozenset[str]
    back: frozenset[str]
    heard_back: frozenset[str]
    confirmed: frozenset[str]
    began: float
    settled: frozenset[str] = frozenset()


def first_progress(plan: Plan, began: float) -> Progress:
    """Return where a plan begins; `began` in seconds since 1970."""
    none: frozenset[str] = frozenset()
    return Progress(plan.digest, Phase.BOTH, none, none, none, none, began)


def progress_json(progress: Progress) -> bytes:
    """Return the progress as it is kept on disk."""
    lists = {name: sorted(getattr(progress, name)) for name in _NAMES}
    value = {**asdict(progress), "phase": progress.phase.value, **lists}
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def parse_progress(raw: bytes, plan: Optional[Plan]) -> Optional[Progress]:
    """Read what `progress_json` wrote; None where it is damaged, or that of another plan.

    Without a plan in force, only a node that lingers has a progress.
    """
    try:
        value = json.loads(raw)
        lists = {name: _names(value[name]) for name in _NAMES}
        progress = Progress(**{**value, **lists, "phase": Phase(value["phase"])})
    except (ValueError, KeyError, TypeError):
        return None
    fits = progress.plan == plan.digest if plan else progress.phase is Phase.LINGER
    whole = isinstance(progress.began, (int, float)) and isinstance(progress.plan, str)
    return progress if fits and whole else None


def _names(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError("not a list of names")
    return frozenset(value)
