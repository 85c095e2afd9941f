"""The commands `status` and `check`: where this node stands, as JSON without secrets."""

import json
from typing import Any, Optional

from .. import VERSION
from ..answers import AgentError
from ..difference import Difference
from ..files.document import Document, parse_document
from ..files.generation import current_digest
from ..files.wentback import was_committed, went_back_difference
from ..live.drift import differences
from ..live.interface import read_traffic
from ..places import Places
from ..system.run import read_json
from ..trial.machine import load_trial
from .install import agent_digest

__all__ = ["check", "status"]


def status(places: Places) -> str:
    """Return the state, the committed digest, the pending trial and how the node differs from its files."""
    try:
        raw = (places.current / "document").read_bytes()
        document: Optional[Document] = parse_document(raw)
    except (OSError, AgentError):
        document = None
    if document is not None and document.digest == current_digest(places):
        return _report(places, went_back_difference(places) + differences(places, document))
    if not was_committed(places):
        return _report(places, [])
    return _report(places, [Difference(str(places.current), "damaged", "as committed")])


def check(places: Places, raw: bytes) -> str:
    """Return the same, with the differences from the document in `raw`. Raises `AgentError`, `OSError`."""
    return _report(places, differences(places, parse_document(raw)))


def _report(places: Places, found: list[Difference]) -> str:
    trial = load_trial(places)
    outcome = read_json(places.outcome)
    value: dict[str, Any] = {
        "version": VERSION,
        "agent": agent_digest(places),
        "current": current_digest(places),
        "state": trial.phase if trial else "idle",
        "trial": None,
        "last_rollback": None,
        "peers": read_traffic(),
        "differences": [difference._asdict() for difference in found],
    }
    if trial:
        value["trial"] = {
            "txn": trial.txn,
            "digest": trial.digest,
            "phase": trial.phase,
            "seconds_left": round(trial.seconds_left, 1),
        }
    if outcome:
        value["last_rollback"] = {name: outcome.get(name) for name in ("txn", "digest", "reason")}
    return json.dumps(value, indent=1, sort_keys=True)
