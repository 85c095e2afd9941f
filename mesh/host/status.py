"""The command `status`: where this node stands, as JSON without secrets."""

import json
from typing import Any

from . import VERSION
from .answers import AgentError
from .etc import etc_differences
from .generation import current_digest, load_link
from .install import archive_digest
from .places import Places
from .system import read_json, since_boot
from .trial import differences, load_trial

__all__ = ["status"]


def status(places: Places) -> str:
    """Return the state, the committed digest, the pending trial and how the running system differs."""
    trial = load_trial(places)
    committed = load_link(places.current)
    outcome = read_json(places.outcome)
    value: dict[str, Any] = {
        "version": VERSION,
        "agent": archive_digest(),
        "current": current_digest(places),
        "state": trial.phase if trial else "idle",
        "trial": None,
        "last_rollback": None,
        "differences": [],
    }
    if trial:
        left = round(trial.deadline - since_boot(), 1)
        value["trial"] = {
            "txn": trial.txn,
            "digest": trial.digest,
            "phase": trial.phase,
            "seconds_left": left,
        }
    if outcome:
        value["last_rollback"] = {name: outcome.get(name) for name in ("txn", "digest", "reason")}
    if committed:
        try:
            value["differences"] = differences(places, committed) + etc_differences(places, committed)
        except (AgentError, OSError) as error:
            value["differences"] = [str(error)]
    elif value["current"]:
        value["differences"] = [f"{places.current} is damaged"]
    return json.dumps(value, indent=1, sort_keys=True)
