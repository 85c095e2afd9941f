"""What keeps a rotation of keys from beginning, told before anything changes."""

from __future__ import annotations

import time

from ..answers import AgentError, Answer
from ..files.document import WG_CONF
from ..files.generation import load_link
from ..live.interface import exists
from ..live.ports import require_free_port
from ..system.systemd import active_state
from ..tunnel import NEXT
from .plan import continued, plan_between
from .stored import pending_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..files.wgconf import WgFile
    from ..places import Places

__all__ = ["refuse_rotation"]


def refuse_rotation(places: Places, file: WgFile) -> None:
    """Refuse files with other keys than those that are being moved to, or if nothing could be moved.

    Raises `AgentError` (REFUSED).
    """
    pending = pending_plan(places)
    if pending is not None:
        reason = continued(pending, file)
        if reason is not None:
            raise AgentError(
                Answer.REFUSED,
                f"keys are being rotated{_since(places)}: {reason}. Run `up` with the former numbers and "
                "ports until the rotation is done (`mesh settle` says which node is missing)",
            )
        return
    before = load_link(places, places.current) if file.next_port else None
    if before is None or plan_between(before.file, file) is None:
        return
    if places.plan.exists():
        raise AgentError(Answer.BUSY, "the rotation of keys before this one is just ending: try again")
    from .redirect import why_not

    reason = why_not()
    if reason is not None:
        raise AgentError(Answer.REFUSED, f"keys cannot be rotated on this host: {reason}")
    assert file.next_port is not None
    if exists(NEXT) and active_state(NEXT.unit) != "active":
        raise AgentError(
            Answer.REFUSED,
            f"keys cannot be rotated: this host has an interface {NEXT.interface} that is not of the mesh: "
            "give the interface another name",
        )
    try:
        require_free_port(NEXT, file.next_port)
    except AgentError:
        raise AgentError(
            Answer.REFUSED,
            f"{WG_CONF}: another program on this host uses UDP port {file.next_port}, which a rotation of "
            "keys needs (`ss -lunp` names the program): stop the program, or give the mesh another port",
        ) from None


def _since(places: Places) -> str:
    from .told import rotation_report, waits_in_words

    report = rotation_report(places)
    if report is None:
        return ""
    waits = waits_in_words(report)
    began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(report.since))
    return f" since {began}" + (f" ({waits})" if waits else "")
