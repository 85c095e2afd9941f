"""The command `apply`: from a document on standard input to one answer."""

from __future__ import annotations

import contextlib
import time

from ..answers import AgentError, Answer
from ..files.document import Document, parse_document
from ..files.generation import Generation, current_digest, load_generation, load_link, stage
from ..files.wentback import forget_going_back
from ..live.drift import running_differences, stored_differences
from ..live.first_key import drop_first_contact_key
from ..live.following import reconcile
from ..rotation.stored import wanted_of
from ..system.faults import step
from ..system.run import log, read_json, write_json
from ..system.session import session_start, ssh_session
from ..system.systemd import active_states, require_systemd
from ..trial.lock import COMMAND_WAIT, lock
from ..trial.machine import arm, confirm, start
from ..trial.record import Phase, Trial, clear_trial, load_trial
from ..trial.rollback import last_outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Optional

    from ..difference import Difference
    from ..places import Places
    from ..tunnel import Tunnel

__all__ = ["apply", "remarks_on"]

# Seconds a trial may take from being armed to being live, before its caller is told to dial again; and which
# part of its time, so that whoever was told can still commit it.
_LIVE_WAIT = 20.0
_LIVE_PART = 0.5
_POLL = 0.05
# Seconds: the program dials again for about this long after it lost its connection.
_REPORT_WITHIN = 120.0


def apply(places: Places, tunnel: Tunnel, raw: bytes, *, local: bool) -> tuple[Answer, str]:
    """Bring the node to what the document says; returns the answer and its detail.

    `local` is for the console: the trial is confirmed at once, with nobody to prove that a new
    connection works. Raises `AgentError`, `OSError`.
    """
    document = parse_document(raw)
    began = session_start()
    if began is None and not local:
        raise AgentError(Answer.REFUSED, "not in an SSH session: from the console use `apply --local`")
    require_systemd()
    try:
        with lock(places, wait=COMMAND_WAIT):
            answer = _begin(places, tunnel, document)
    except AgentError as error:
        trial = load_trial(places)
        if error.answer is not Answer.BUSY or trial is None or trial.digest != document.digest:
            raise
        answer = None  # our own trial holds the lock: it takes its time
    if answer is not None and not (local and answer[0] is Answer.RECONNECT):
        return answer
    return _confirm(places, tunnel, document, None if local else began)


def _begin(places: Places, tunnel: Tunnel, document: Document) -> Optional[tuple[Answer, str]]:
    """Return the answer, or None when a trial of this very document is pending, and can be waited for."""
    trial = load_trial(places)
    if trial is not None and not _was_never_started(places, trial):
        _join(trial, document)
        return None
    drop_first_contact_key(places)
    reason = last_outcome(places, document.digest, within=_REPORT_WITHIN)
    if reason is not None:
        raise AgentError(Answer.ROLLED_BACK, reason)
    committed = _in_force(places, tunnel, document)
    if committed is None:
        return _try(places, tunnel, document)
    repaired = stored_differences(places, tunnel, document, committed)
    load_generation(places, committed.digest)
    reconcile(places, tunnel, committed)
    forget_going_back(places)
    from ..trial.proof import obstacles

    _remember(places, document, obstacles(tunnel, committed, ssh_session()))
    return Answer.CONFIRMED if repaired else Answer.UNCHANGED, document.digest


def _try(places: Places, tunnel: Tunnel, document: Document) -> Optional[tuple[Answer, str]]:
    """Check a document and start its trial; what others of an `apply` do not need is imported here."""
    from ..live.advertised import refuse_loss_of_routes
    from ..live.following import require_changeable
    from ..live.ipv6 import require_ipv6
    from ..live.overlap import refuse_overlap
    from ..live.ports import require_free_port
    from ..live.sshd import require_ports
    from ..live.takeover import refuse_foreign_interface
    from ..live.validation import validate
    from ..rotation.refusals import refuse_rotation

    refuse_foreign_interface(places, tunnel)
    require_ipv6(places, tunnel, document.wg)
    refuse_overlap(places, tunnel, document.wg)
    refuse_rotation(places, document.wg)
    generation = stage(places, document)
    step("staged")
    validate(places, generation)
    require_changeable(places, generation)
    refuse_loss_of_routes(places, generation.sysctls)
    require_free_port(tunnel, generation.file.port)
    require_ports(places, generation.firewall)
    found, stays = _prove(places, tunnel, generation)
    _remember(places, document, found)
    step("validated")
    trial = arm(places, tunnel, generation)
    start(places, tunnel, trial)
    return None if stays else (Answer.RECONNECT, trial.txn)


def _remember(places: Places, document: Document, found: Sequence[Difference]) -> None:
    """Keep what others' rules stop until the answer is given, which mostly is another connection's."""
    with contextlib.suppress(OSError):
        remarks = [f"{each.item}: {each.live}" for each in found]
        write_json(places.remarks, {"digest": document.digest, "remarks": remarks})


def remarks_on(places: Places, digest: str) -> list[str]:
    """Return what is in the way of a document that was applied, in words, a line for each."""
    value = read_json(places.remarks) or {}
    return [str(remark) for remark in value.get("remarks", [])] if value.get("digest") == digest else []


def _prove(places: Places, tunnel: Tunnel, generation: Generation) -> tuple[list[Difference], bool]:
    """Prove that this SSH session could come again; at the console look only.

    Returns what others stop, and whether an answer will still reach this session once the network has moved,
    so that it may wait for the trial: where nothing could be proved, or it came through the tunnel, it is
    answered before.
    """
    from ..trial.doors import refuse_trust_in_the_outside
    from ..trial.proof import obstacles, prove_not_locked_out

    session = ssh_session()
    refuse_trust_in_the_outside(generation, session)
    if not (read_json(places.options) or {}).get("proof", True):
        return [], False
    if session is None:
        return obstacles(tunnel, generation, None), False
    found = prove_not_locked_out(tunnel, generation, session, first=current_digest(places) is None)
    return found or [], found is not None and session.interface != tunnel.interface


def _was_never_started(places: Places, trial: Trial) -> bool:
    """Whether nobody will start this trial, which is forgotten then: who armed it was killed half way.

    Nothing has changed yet, and its timers may be missing.
    """
    if trial.phase is not Phase.ARMED or not {*active_states(trial.units)} <= {"inactive", "unknown"}:
        return False
    log(f"trial {trial.txn} was armed and never started: discarding this trial")
    clear_trial(places, trial)
    return True


def _join(trial: Trial, document: Document) -> None:
    if trial.digest != document.digest:
        left = round(trial.seconds_left) + 15
        raise AgentError(Answer.BUSY, f"a trial of other files is under way and ends in at most {left} s")


def _in_force(places: Places, tunnel: Tunnel, document: Document) -> Optional[Generation]:
    """Return the document's generation if it is the committed one and the system runs as it says."""
    if current_digest(places) != document.digest:
        return None
    committed = load_link(places, places.current)
    if committed is None:
        return None
    wanted = wanted_of(places, committed)
    return None if running_differences(places, tunnel, committed, wanted) else committed


def _confirm(
    places: Places, tunnel: Tunnel, document: Document, began: Optional[float]
) -> tuple[Answer, str]:
    trial = _wait_until_live(places, document.digest)
    if trial is not None:
        if trial.phase is not Phase.LIVE or (began is not None and began <= trial.live_at):
            return Answer.RECONNECT, trial.txn
        with lock(places, wait=COMMAND_WAIT):
            now = load_trial(places)
            if now is not None and now.txn == trial.txn:
                confirm(places, tunnel, now)
                return Answer.CONFIRMED, document.digest
    reason = last_outcome(places, document.digest, within=_REPORT_WITHIN)
    if reason is not None:
        raise AgentError(Answer.ROLLED_BACK, reason)
    if current_digest(places) == document.digest:
        return Answer.CONFIRMED, document.digest
    raise AgentError(Answer.ROLLED_BACK, "the trial is over, but its outcome is not recorded")


def _wait_until_live(places: Places, digest: str) -> Optional[Trial]:
    """Wait until the pending trial is live, or for as long as its caller shall; None when it is over."""
    trial = load_trial(places)
    end = time.monotonic() + min(_LIVE_WAIT, _LIVE_PART * trial.seconds_left if trial else 0.0)
    while trial is not None and trial.digest == digest:
        if trial.phase is Phase.LIVE or time.monotonic() > end:
            return trial
        time.sleep(_POLL)
        trial = load_trial(places)
    return None
