"""What a rotation tells of itself: what each peer is waited for, kept where a reboot forgets it."""

from __future__ import annotations

import contextlib
import time

from ..records import dataclass
from ..system.run import read_json, write_json
from .planned import committed_plan
from .progress import Phase
from .stored import read_progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Optional

    from ..places import Places
    from .progress import Progress

__all__ = ["PairState", "RotationReport", "rotation_report", "tell_pairs", "tell_trouble", "waits_in_words"]

# From the commit, or a reboot, until the process that moves traffic has looked around.
_BEGINS = "begins in a moment"


@dataclass(frozen=True)
class PairState:
    """By which keys packets go to a peer (`old`, `next`, `new`), and why it is waited for; empty for not.

    `former` is the public key that the peer had before; None at the end, when nobody knows that any more.
    """

    route: str
    waits: str
    former: Optional[str] = None


@dataclass(frozen=True)
class RotationReport:
    """A rotation under way, for a report; `since` is in seconds since 1970, `pairs` by the peer's name."""

    phase: str
    since: float
    pairs: Mapping[str, PairState]


def tell_pairs(places: Places, progress: Progress, waits: Mapping[str, str]) -> None:
    """Keep what each peer is waited for; where that fails, nothing else does."""
    pairs = {name: {"route": route_of(progress, name), "waits": why} for name, why in waits.items()}
    with contextlib.suppress(OSError):
        write_json(places.pairs, {"plan": progress.plan, "pairs": pairs})


def tell_trouble(places: Places, reason: str) -> None:
    """Keep why the rotation does not go on on this node at all."""
    plan = committed_plan(places)
    progress = read_progress(places, plan)
    if plan is not None and progress is not None:
        tell_pairs(places, progress, dict.fromkeys(plan.changing, reason))


def route_of(progress: Progress, name: str) -> str:
    """Return by which keys packets go to a peer."""
    if name in progress.back | progress.settled or progress.phase is Phase.LINGER:
        return "new"
    return "next" if name in progress.moved else "old"


def rotation_report(places: Places) -> Optional[RotationReport]:
    """Return where the rotation of this node is; None when nothing of it is left."""
    plan = committed_plan(places)
    progress = read_progress(places, plan)
    former = {name: plan.before.peers[name].public_key for name in plan.changing} if plan else {}
    if progress is None:
        begins = {name: PairState("old", _BEGINS, former[name]) for name in sorted(former)}
        return RotationReport("both", _since(places), begins) if plan else None
    told = read_json(places.pairs) or {}
    is_told = told.get("plan") == progress.plan and isinstance(told.get("pairs"), dict)
    waits = "" if is_told or progress.phase is Phase.LINGER else _BEGINS
    pairs = told["pairs"] if is_told else {}
    names = plan.changing if plan is not None else progress.back
    return RotationReport(
        progress.phase.value,
        progress.began,
        {
            name: PairState(
                route_of(progress, name),
                str((pairs.get(name) or {}).get("waits", waits)),
                former.get(name),
            )
            for name in sorted(names)
        },
    )


def _since(places: Places) -> float:
    """Return when the plan was committed, of which nothing is done yet."""
    try:
        return places.plan.stat().st_mtime
    except OSError:
        return time.time()


def waits_in_words(report: Optional[RotationReport]) -> str:
    """Return which peers are waited for, and why, in one line; empty where none is."""
    pairs = report.pairs if report else {}
    return "; ".join(f"{name}: {pair.waits}" for name, pair in pairs.items() if pair.waits)
