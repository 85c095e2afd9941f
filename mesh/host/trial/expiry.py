"""The end of a trial's time: undone by its timers, or by whoever comes next."""

from __future__ import annotations

import contextlib

from ..answers import AgentError
from ..files.generation import load_generation
from ..system.run import log, since_boot
from ..system.systemd import kill, start_detached
from .lock import forced_lock, lock
from .machine import finish, is_committed
from .record import Phase, Trial, load_trial
from .rollback import roll_back
from .way_back import way_back_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..places import Places
    from ..tunnel import Tunnel

__all__ = ["end_forgotten", "expire", "undo_overdue"]

# Seconds to wait for the lock: a trial may hang with it, while a rollback takes the time that its tools get.
_HANGS = 5.0
_ROLLBACK = 45.0
# Seconds after the deadline until the guard takes it that neither timers nor watch are there any more.
_FORGOTTEN = 30.0


def undo_overdue(places: Places, tunnel: Tunnel) -> None:
    """Undo a trial that is past its deadline, whatever became of its timers."""
    trial = load_trial(places)
    if trial is not None and trial.seconds_left == 0:
        log(f"trial {trial.txn} is past its deadline: ending this trial first")
        with contextlib.suppress(AgentError, OSError):
            expire(places, tunnel, trial.txn)


def end_forgotten(places: Places) -> None:
    """Have a trial ended that is long past its deadline, by a process of its own; waits for nothing."""
    trial = load_trial(places)
    if trial is not None and since_boot() > trial.deadline + _FORGOTTEN:
        with contextlib.suppress(AgentError):
            start_detached(f"wgmesh-forgotten-{trial.txn}", way_back_command(places))


def expire(places: Places, tunnel: Tunnel, txn: str) -> None:
    """Undo a trial whose time is over, also one that hangs; finish one that was already committed."""
    trial = load_trial(places)
    if trial is None or not _is(trial, txn):
        return
    try:
        with lock(places, wait=_ROLLBACK if trial.phase is Phase.ROLLING_BACK else _HANGS):
            _expire_locked(places, tunnel, txn)
    except (AgentError, OSError):
        kill(*trial.units)
        with forced_lock(places, wait=_HANGS):
            _expire_locked(places, tunnel, txn)


def _is(trial: Trial, txn: str) -> bool:
    """Whether this is the trial: one whose record is damaged may be."""
    return trial.txn == txn or trial.seconds_left == 0


def _expire_locked(places: Places, tunnel: Tunnel, txn: str) -> None:
    trial = load_trial(places)
    if trial is None or not _is(trial, txn):
        return
    if is_committed(places, trial):
        finish(places, tunnel, trial, load_generation(places, trial.digest))
    else:
        roll_back(places, tunnel, trial, "no new connection confirmed the trial in time")
