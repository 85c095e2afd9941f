"""A trial undone: the running system brought back, and its end told once to whoever asks."""

from __future__ import annotations

import contextlib

from ..answers import AgentError
from ..records import dataclass, replace
from ..system.faults import step
from ..system.run import attempt, boot_id, log, read_json, since_boot, write_json
from .record import Phase, Trial, clear_trial, save_trial
from .undo import restore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..places import Places
    from ..tunnel import Tunnel

__all__ = ["PERSISTENT", "Rollback", "last_outcome", "last_rollback", "mark_reported", "roll_back"]

PERSISTENT = 60.0
"""Seconds after the deadline until which what could not be brought back is tried again."""

# Seconds for the plain commands, each of which has 5 at most.
_PLAIN = 30.0


def roll_back(places: Places, tunnel: Tunnel, trial: Trial, reason: str) -> None:
    """Bring everything back to what it was before the trial and say so in the journal.

    Nothing here waits for anything that may hang. A trial of which a part could not be brought back at
    all stays pending, so that the next timer, or the next command, tries again.
    """
    with contextlib.suppress(OSError):
        save_trial(places, replace(trial, phase=Phase.ROLLING_BACK))
    with contextlib.suppress(AgentError):
        step("rollback")
    restored = restore(places, tunnel)
    whole = restored.whole or _by_plain_commands(places)
    log(f"trial {trial.txn} is rolled back: {reason}")
    if restored.troubles:
        log(f"rollback of {trial.txn} had trouble: {'; '.join(restored.troubles)}")
        reason = f"{reason}; the rollback had trouble: {restored.troubles[0]}"
    outcome = {
        "txn": trial.txn,
        "digest": trial.digest,
        "reason": reason,
        "at": since_boot(),
        "boot": boot_id(),
    }
    with contextlib.suppress(OSError):
        write_json(places.outcome, {**outcome, "reported": False})
    if whole or since_boot() > trial.deadline + PERSISTENT:
        clear_trial(places, trial)


def _by_plain_commands(places: Places) -> bool:
    """Have the plain commands do what could not be done, or is not known any more."""
    return attempt(["/bin/sh", str(places.way_back_script), "plain"], timeout=_PLAIN) is not None


@dataclass(frozen=True)
class Rollback:
    """How a trial ended that was rolled back: its number, its document, why."""

    txn: Optional[str]
    digest: Optional[str]
    reason: Optional[str]


def last_rollback(places: Places) -> Optional[Rollback]:
    """Return the last trial that was rolled back since boot; None when there was none."""
    value = read_json(places.outcome)
    return Rollback(value.get("txn"), value.get("digest"), value.get("reason")) if value else None


def last_outcome(places: Places, digest: str, *, within: float) -> Optional[str]:
    """Return why the last trial of this document was rolled back, once, if not `within` seconds ago."""
    value = read_json(places.outcome) or {}
    recent = value.get("boot") == boot_id() and since_boot() - float(value.get("at", 0)) <= within
    if value.get("digest") != digest or value.get("reported") or not recent:
        return None
    mark_reported(places)
    return str(value.get("reason"))


def mark_reported(places: Places) -> None:
    """Note that the end of the last trial has been told. Raises `OSError`."""
    value = read_json(places.outcome)
    if value:
        write_json(places.outcome, {**value, "reported": True})
