"""A trial: armed, run, live, then confirmed or rolled back. docs/protocol.md has the states."""

from __future__ import annotations

from ..answers import AgentError, Answer
from ..files.generation import (
    Generation,
    collect_generations,
    commit,
    committed_originals,
    current_digest,
    load_generation,
    write_originals,
)
from ..files.wentback import forget_going_back
from ..live.drift import running_differences
from ..live.firewall import is_loaded, load_table
from ..live.following import reconcile
from ..live.interface import exists
from ..live.sshd import open_ports, wanted_ports
from ..live.sshd_service import ssh_ports
from ..live.sysctl import originals_after, set_sysctls
from ..records import replace
from ..rotation.stored import bring, keep_plan, wanted_of
from ..system.archive import ARCHIVE
from ..system.faults import step
from ..system.run import boot_id, io_error, log, random_hex, read_json, run, since_boot
from ..system.scope import fork_into_scope
from ..system.session import session_end
from ..system.systemd import active_state, agent_command, reset_failed, start_detached
from ..system.unitfiles import lend_units
from .armed import arm_way_back
from .lock import TRIAL_WAIT, lock
from .record import Phase, Trial, clear_trial, load_trial, save_trial
from .rollback import mark_reported, roll_back
from .undo import load_snapshot, take_snapshot, target_sysctls
from .way_back import record_way_back, way_back_agent, way_back_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..places import Places
    from ..tunnel import Tunnel

__all__ = [
    "arm",
    "confirm",
    "finish",
    "is_committed",
    "run_trial",
    "start",
]

_DEADLINE = 90.0
_DEADLINE_BOUNDS = (5.0, 300.0)
# A confirmation this close to the deadline might meet the rollback half way.
_MARGIN = 2.0


def _deadline(places: Places) -> float:
    value = (read_json(places.options) or {}).get("deadline_seconds", _DEADLINE)
    seconds = float(value) if isinstance(value, (int, float)) else _DEADLINE
    return min(max(seconds, _DEADLINE_BOUNDS[0]), _DEADLINE_BOUNDS[1])


def arm(places: Places, tunnel: Tunnel, generation: Generation) -> Trial:
    """Record the state to go back to and start the rollback timers; nothing has changed afterwards.

    Raises `AgentError`, and leaves nothing then. The lock must be held.
    """
    seconds = _deadline(places)
    trial = Trial(
        txn=random_hex(8),
        digest=generation.digest,
        phase=Phase.ARMED,
        boot=boot_id(),
        deadline=since_boot() + seconds,
        live_at=0.0,
        repair=current_digest(places) == generation.digest,
        ssh_ports=ssh_ports(),
    )
    try:
        snapshot = take_snapshot(
            places, tunnel, target_sysctls(places, generation, committed_originals(places))
        )
        step("snapshot")
        record_way_back(places, tunnel, trial, generation, snapshot, ARCHIVE)
        save_trial(places, trial)
        step("pending")
        command = way_back_command(places)
        arm_way_back(places.lent_units, trial.timers, trial.watch, seconds=seconds, command=command)
        step("armed")
    except (AgentError, OSError):
        clear_trial(places, trial)
        raise
    log(f"trial {trial.txn} of {trial.digest} is armed, rolls back in {seconds:.0f} s unless confirmed")
    return trial


def start(places: Places, tunnel: Tunnel, trial: Trial) -> None:
    """Start the trial in a unit of its own. Raises `AgentError`; the lock must be held.

    A caller from afar needs no new process of Python: this one goes on twice, and systemd takes over the one
    that runs the trial. At the console, and where systemd does not, a service does.
    """
    try:
        forked = session_end() is not None and fork_into_scope(
            trial.unit, lambda: run_trial(places, tunnel, trial.txn)
        )
        if not forked:
            start_detached(trial.unit, agent_command(way_back_agent(places), "run-trial", trial.txn))
    except AgentError:
        clear_trial(places, trial)
        raise
    step("started")


def run_trial(places: Places, tunnel: Tunnel, txn: str) -> None:
    """Make the running system what the generation asks for; a failure is undone at once."""
    with lock(places, wait=TRIAL_WAIT):
        trial = load_trial(places)
        if trial is None or trial.txn != txn or trial.phase is not Phase.ARMED:
            return
        trial = save_trial(places, replace(trial, phase=Phase.RUNNING))
        try:
            step("trial")
            generation = load_generation(places, trial.digest)
            open_ports(places, wanted_ports(generation.firewall))
            _change(places, tunnel, generation)
            _check(places, tunnel, generation)
            step("checked")
            save_trial(places, replace(trial, phase=Phase.LIVE, live_at=since_boot()))
            step("live")
        except Exception as error:  # noqa: BLE001 - whatever it is, the running system goes back
            roll_back(places, tunnel, trial, _reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return io_error(error).reason
    return str(error) if isinstance(error, AgentError) else f"unexpected {type(error).__name__}"


def _change(places: Places, tunnel: Tunnel, generation: Generation) -> None:
    lend_units(places, tunnel)
    if not is_loaded(places, generation.firewall):
        load_table(generation.firewall)
    step("firewall")
    state = active_state(tunnel.unit)
    if state == "active" and exists(tunnel):
        bring(places, tunnel, generation)
    else:
        # systemd starts link-up, which reads the trial: link and daemon live in the right unit.
        reset_failed(tunnel.unit)
        run(["systemctl", "restart" if state == "active" else "start", tunnel.unit], timeout=60)
    step("interface")
    set_sysctls(places.sysctls, target_sysctls(places, generation, committed_originals(places)))
    step("sysctl")


def _check(places: Places, tunnel: Tunnel, generation: Generation) -> None:
    found = running_differences(places, tunnel, generation, wanted_of(places, generation))
    if found:
        raise AgentError(Answer.FAILED, f"self-check: {found[0]}")


def confirm(places: Places, tunnel: Tunnel, trial: Trial) -> None:
    """Commit a live trial; the caller has seen that a new connection came.

    The lock must be held. Raises `AgentError` (ROLLED-BACK) when the check fails or it is too late.
    """
    generation = load_generation(places, trial.digest)
    if is_committed(places, trial):
        finish(places, tunnel, trial, generation)
        return
    try:
        _check_time(trial)
        _check(places, tunnel, generation)
        step("confirming")
        _write_originals(places, generation)
        if not trial.repair:
            keep_plan(places, generation)
        step("originals")
        commit(places, trial.digest)
    except (AgentError, OSError) as error:
        reason = _reason(error)
        roll_back(places, tunnel, trial, reason)
        mark_reported(places)
        raise AgentError(Answer.ROLLED_BACK, reason) from None
    if trial.repair:
        places.trial.unlink()
    finish(places, tunnel, trial, load_generation(places, generation.digest, just_committed=True))


def is_committed(places: Places, trial: Trial) -> bool:
    """Whether the trial's generation is the committed one by now: then it is finished, not undone."""
    return not trial.repair and current_digest(places) == trial.digest


def _check_time(trial: Trial) -> None:
    if since_boot() > trial.deadline - _MARGIN:
        raise AgentError(Answer.FAILED, "the new connection came too late")


def _write_originals(places: Places, generation: Generation) -> None:
    snapshot = load_snapshot(places)
    live = snapshot.sysctls if snapshot else {}
    before = originals_after(committed_originals(places), live, generation.sysctls)
    write_originals(generation, before)


def finish(places: Places, tunnel: Tunnel, trial: Trial, generation: Generation) -> None:
    """Do what follows a commit; may be done again at any time. Raises `AgentError` (FAILED)."""
    step("committed")
    log(f"trial {trial.txn} is confirmed, {trial.digest} is committed")
    try:
        reconcile(places, tunnel, generation, trial.ssh_ports)
        forget_going_back(places)
        step("reconciled")
    except (AgentError, OSError) as error:
        reason = f"the change is active, but updating /etc failed: {_reason(error)}; run it again"
        raise AgentError(Answer.FAILED, reason) from None
    finally:
        # Last: until then a crash leaves the timers, which find the commit and do this again.
        clear_trial(places, trial)
    step("disarmed")
    collect_generations(places)
