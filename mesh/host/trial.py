"""A trial: armed, run, live, then confirmed or rolled back. docs/protocol.md has the states."""

import contextlib
import secrets
from dataclasses import asdict, dataclass, replace
from typing import Optional

from .answers import AgentError, Answer
from .drift import running_differences
from .etc import reconcile
from .faults import step
from .firewall import expected_table, live_table, load_table
from .generation import (
    Generation,
    collect_generations,
    commit,
    committed_originals,
    current_digest,
    load_generation,
    write_originals,
)
from .interface import converge, read_link
from .lock import TRIAL_WAIT, forced_lock, lock
from .places import WG_UNIT, Places
from .routes import routes_made
from .sshd import open_ports, wanted_ports
from .sysctl import originals_after, set_sysctls
from .system import attempt, boot_id, io_error, log, read_json, run, since_boot, write_json
from .systemd import active_state, agent_command, arm_timers, kill, start_detached, stop
from .undo import load_snapshot, restore, take_snapshot, target_sysctls
from .unitfiles import lend_units
from .wentback import forget_going_back

__all__ = [
    "PHASES",
    "Trial",
    "arm",
    "confirm",
    "expire",
    "last_outcome",
    "load_trial",
    "roll_back",
    "run_trial",
    "start",
]

PHASES = ("armed", "running", "live", "rolling-back")
"""What a pending trial can be; without one a node is idle."""

_DEADLINE = 90.0
_DEADLINE_BOUNDS = (5.0, 300.0)
_SECOND_TIMER = 10.0
# A confirmation this close to the deadline might meet the rollback half way.
_MARGIN = 2.0
_HANGS = 5.0


@dataclass(frozen=True)
class Trial:
    """A pending trial; times are seconds since boot.

    `phase` is one of `PHASES`; `repair` means that its digest was already the
    committed one, so that the removal of this record commits instead of the symlink.
    """

    txn: str
    digest: str
    phase: str
    boot: str
    deadline: float
    live_at: float
    repair: bool

    @property
    def timers(self) -> tuple[str, str]:
        """The units of the two rollback timers."""
        return f"wgmesh-rollback-{self.txn}", f"wgmesh-rollback2-{self.txn}"

    @property
    def unit(self) -> str:
        """The unit the trial runs in."""
        return f"wgmesh-trial-{self.txn}"


def load_trial(places: Places) -> Optional[Trial]:
    """Return the pending trial; one of an earlier boot is none."""
    value = read_json(places.trial)
    try:
        trial = Trial(**value) if value else None
    except TypeError:
        return None
    return trial if trial and trial.boot == boot_id() else None


def _save(places: Places, trial: Trial) -> Trial:
    write_json(places.trial, asdict(trial))
    return trial


def _deadline(places: Places) -> float:
    value = (read_json(places.options) or {}).get("deadline_seconds", _DEADLINE)
    seconds = float(value) if isinstance(value, (int, float)) else _DEADLINE
    return min(max(seconds, _DEADLINE_BOUNDS[0]), _DEADLINE_BOUNDS[1])


def arm(places: Places, generation: Generation) -> Trial:
    """Record the state to go back to and start the rollback timers; nothing has changed afterwards.

    Raises `AgentError`, and leaves nothing then. The lock must be held.
    """
    seconds = _deadline(places)
    trial = Trial(
        txn=secrets.token_hex(8),
        digest=generation.digest,
        phase="armed",
        boot=boot_id(),
        deadline=since_boot() + seconds,
        live_at=0.0,
        repair=current_digest(places) == generation.digest,
    )
    try:
        take_snapshot(places, target_sysctls(places, generation, committed_originals(places)))
        step("snapshot")
        _save(places, trial)
        step("pending")
        first, second = trial.timers
        timers = {first: seconds, second: seconds + _SECOND_TIMER}
        arm_timers(timers, agent_command(places, "expire", trial.txn))
        step("armed")
    except (AgentError, OSError):
        _clear(places, trial)
        raise
    log(f"trial {trial.txn} of {trial.digest} is armed, rolls back in {seconds:.0f} s unless confirmed")
    return trial


def start(places: Places, trial: Trial) -> None:
    """Start the trial in a unit of its own. Raises `AgentError`; the lock must be held."""
    try:
        start_detached(trial.unit, agent_command(places, "run-trial", trial.txn))
    except AgentError:
        _clear(places, trial)
        raise
    step("started")


def _clear(places: Places, trial: Trial) -> None:
    """Forget a trial: record first, so that a timer that fires in between finds nothing to do."""
    for path in (places.trial, places.undo):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    stop(*(f"{unit}.timer" for unit in trial.timers))


def run_trial(places: Places, txn: str) -> None:
    """Make the running system what the generation asks for; a failure is undone at once."""
    with lock(places, wait=TRIAL_WAIT):
        trial = load_trial(places)
        if trial is None or trial.txn != txn or trial.phase != "armed":
            return
        trial = _save(places, replace(trial, phase="running"))
        try:
            step("trial")
            generation = load_generation(places.generations / trial.digest)
            open_ports(places, wanted_ports(generation.firewall))
            _change(places, generation)
            _check(places, generation)
            step("checked")
            _save(places, replace(trial, phase="live", live_at=since_boot()))
            step("live")
        except (AgentError, OSError) as error:
            roll_back(places, trial, _reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return io_error(error).reason
    return str(error)


def _change(places: Places, generation: Generation) -> None:
    lend_units(places)
    if live_table() != expected_table(generation.firewall):
        load_table(generation.firewall)
    step("firewall")
    state = active_state(WG_UNIT)
    if state == "active" and read_link() is not None:
        converge(generation.device, generation.link, routes_made(places))
    else:
        # systemd starts link-up, which reads the trial: link and daemon live in the right unit.
        attempt(["systemctl", "reset-failed", WG_UNIT])
        run(["systemctl", "restart" if state == "active" else "start", WG_UNIT], timeout=60)
    step("interface")
    set_sysctls(places.sysctls, target_sysctls(places, generation, committed_originals(places)))
    step("sysctl")


def _check(places: Places, generation: Generation) -> None:
    found = running_differences(places, generation)
    if found:
        raise AgentError(Answer.FAILED, f"self-check: {found[0]}")


def confirm(places: Places, trial: Trial) -> None:
    """Commit a live trial; the caller has seen that a new connection came.

    The lock must be held. Raises `AgentError` (ROLLED-BACK) when the check fails or it is too late.
    """
    generation = load_generation(places.generations / trial.digest)
    if _is_committed(places, trial):
        finish(places, trial, generation)
        return
    try:
        _check_time(trial)
        _check(places, generation)
        step("confirming")
        _write_originals(places, generation)
        step("originals")
        commit(places, trial.digest)
    except (AgentError, OSError) as error:
        reason = _reason(error)
        roll_back(places, trial, reason)
        _mark_reported(places)
        raise AgentError(Answer.ROLLED_BACK, reason) from None
    if trial.repair:
        places.trial.unlink()
    finish(places, trial, load_generation(generation.folder))


def _is_committed(places: Places, trial: Trial) -> bool:
    return not trial.repair and current_digest(places) == trial.digest


def _check_time(trial: Trial) -> None:
    if since_boot() > trial.deadline - _MARGIN:
        raise AgentError(Answer.FAILED, "the new connection came too late")


def _write_originals(places: Places, generation: Generation) -> None:
    snapshot = load_snapshot(places)
    live = snapshot.sysctls if snapshot else {}
    before = originals_after(committed_originals(places), live, generation.sysctls)
    write_originals(generation, before)


def finish(places: Places, trial: Trial, generation: Generation) -> None:
    """Do what follows a commit; may be done again at any time. Raises `AgentError` (FAILED)."""
    step("committed")
    log(f"trial {trial.txn} is confirmed, {trial.digest} is committed")
    try:
        reconcile(places, generation)
        forget_going_back(places)
        step("reconciled")
    except (AgentError, OSError) as error:
        reason = f"committed and in force, but not all of /etc follows: {_reason(error)}; run it again"
        raise AgentError(Answer.FAILED, reason) from None
    finally:
        # Last: until then a crash leaves the timers, which find the commit and do this again.
        _clear(places, trial)
    step("disarmed")
    collect_generations(places)


def roll_back(places: Places, trial: Trial, reason: str) -> None:
    """Bring everything back to what it was before the trial and say so in the journal."""
    with contextlib.suppress(OSError):
        _save(places, replace(trial, phase="rolling-back"))
    log(f"trial {trial.txn} is rolled back: {reason}")
    with contextlib.suppress(AgentError):
        step("rollback")
    troubles = restore(places)
    if troubles:
        log(f"rollback of {trial.txn} had trouble: {'; '.join(troubles)}")
        reason = f"{reason}; the rollback had trouble: {troubles[0]}"
    outcome = {
        "txn": trial.txn,
        "digest": trial.digest,
        "reason": reason,
        "at": since_boot(),
        "boot": boot_id(),
    }
    with contextlib.suppress(OSError):
        write_json(places.outcome, {**outcome, "reported": False})
    _clear(places, trial)


def last_outcome(places: Places, digest: str, *, within: float) -> Optional[str]:
    """Return why the last trial of this document was rolled back, once, if not `within` seconds ago."""
    value = read_json(places.outcome) or {}
    recent = value.get("boot") == boot_id() and since_boot() - float(value.get("at", 0)) <= within
    if value.get("digest") != digest or value.get("reported") or not recent:
        return None
    _mark_reported(places)
    return str(value.get("reason"))


def _mark_reported(places: Places) -> None:
    value = read_json(places.outcome)
    if value:
        write_json(places.outcome, {**value, "reported": True})


def expire(places: Places, txn: str) -> None:
    """Undo a trial whose time is over, also one that hangs; finish one that was already committed."""
    trial = load_trial(places)
    if trial is None or trial.txn != txn:
        return
    try:
        with lock(places, wait=_HANGS):
            _expire_locked(places, txn)
    except AgentError:
        kill(f"{trial.unit}.service")
        with forced_lock(places, wait=_HANGS):
            _expire_locked(places, txn)


def _expire_locked(places: Places, txn: str) -> None:
    trial = load_trial(places)
    if trial is None or trial.txn != txn:
        return
    if _is_committed(places, trial):
        finish(places, trial, load_generation(places.generations / trial.digest))
    else:
        roll_back(places, trial, "no new connection confirmed it in time")
