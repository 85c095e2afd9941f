"""The commands `status` and `check`: where this node stands, as JSON without secrets."""

from __future__ import annotations

from .. import VERSION
from ..answers import AgentError
from ..difference import Difference
from ..files.document import Document, parse_document
from ..files.generation import as_generation, current_digest
from ..files.wentback import was_committed, went_back_difference
from ..live.drift import running_differences, stored_differences
from ..live.interface import read_traffic
from ..live.overlap import overlap_differences
from ..rotation.stored import wanted_of
from ..rotation.told import rotation_report
from ..system.session import ssh_session
from ..trial.proof import obstacles
from ..trial.record import Trial, load_trial
from ..trial.rollback import last_rollback
from .installed import agent_digest
from .report import IDLE, PendingTrial, Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..places import Places
    from ..tunnel import Tunnel

__all__ = ["check", "status"]


def status(places: Places, tunnel: Tunnel) -> str:
    """Return the state, the committed digest, the pending trial and how the node differs from its files."""
    try:
        raw = (places.current / "document").read_bytes()
        document: Optional[Document] = parse_document(raw)
    except (OSError, AgentError):
        document = None
    if document is not None and document.digest == current_digest(places):
        return _report(places, tunnel, went_back_difference(places) + _differences(places, tunnel, document))
    if not was_committed(places):
        return _report(places, tunnel, [])
    return _report(places, tunnel, [Difference(str(places.current), "damaged", "as committed")])


def check(places: Places, tunnel: Tunnel, raw: bytes) -> str:
    """Return the same, with the differences from the document in `raw`. Raises `AgentError`, `OSError`."""
    return _report(places, tunnel, _differences(places, tunnel, parse_document(raw)))


def _differences(places: Places, tunnel: Tunnel, document: Document) -> list[Difference]:
    """Say how this node differs from a document, changing nothing. Raises `AgentError`, `OSError`."""
    wanted = as_generation(places, document)
    return [
        *running_differences(places, tunnel, wanted, wanted_of(places, wanted)),
        *overlap_differences(places, tunnel, document.wg),
        *stored_differences(places, tunnel, document, wanted),
        *obstacles(tunnel, wanted, ssh_session()),
    ]


def _report(places: Places, tunnel: Tunnel, found: list[Difference]) -> str:
    trial = load_trial(places)
    report = Report(
        version=VERSION,
        agent=agent_digest(places),
        current=current_digest(places),
        state=trial.phase.value if trial else IDLE,
        trial=_pending(trial) if trial else None,
        last_rollback=last_rollback(places),
        rotation=rotation_report(places),
        peers=read_traffic(tunnel),
        differences=found,
    )
    return report.as_json()


def _pending(trial: Trial) -> PendingTrial:
    return PendingTrial(trial.txn, trial.digest, trial.phase.value, round(trial.seconds_left, 1))
