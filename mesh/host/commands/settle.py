"""The command `settle`: take in what the operator's side knows of peers during a rotation of keys."""

from __future__ import annotations

import json
import time

from ..answers import AgentError, Answer
from ..files.wgconf import key_bytes
from ..rotation.stored import pending_plan
from ..rotation.told import rotation_report, waits_in_words
from ..system.run import read_json, write_json
from ..trial.lock import COMMAND_WAIT, lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..places import Places

__all__ = ["parse_evidence", "settle"]

# Seconds that the answer waits for what the evidence brings about, and between looks.
_WAIT = 5.0
_POLL = 0.1
# More than any mesh has: what is longer is no evidence.
_PEERS = 1000


def settle(places: Places, raw: bytes) -> tuple[Answer, str]:
    """Keep the evidence and return whether the rotation is over, or which peer is waited for, and why.

    Raises `AgentError`, `OSError`.
    """
    told = parse_evidence(raw)
    if told["settled"] or told["gone"]:
        with lock(places, wait=COMMAND_WAIT):
            if pending_plan(places) is not None:
                _keep(places, told)
    end = time.monotonic() + _WAIT
    while pending_plan(places) is not None:
        if time.monotonic() > end:
            return Answer.HELD, waits_in_words(rotation_report(places)) or "moves traffic"
        time.sleep(_POLL)
    return Answer.SETTLED, ""


def _keep(places: Places, told: dict[str, Any]) -> None:
    before = read_json(places.settled) or {}
    settled = before.get("settled")
    gone = before.get("gone")
    write_json(
        places.settled,
        {
            "settled": {**(settled if isinstance(settled, dict) else {}), **told["settled"]},
            "gone": sorted({*(gone if isinstance(gone, list) else []), *told["gone"]}),
        },
    )


def parse_evidence(raw: bytes) -> dict[str, Any]:
    """Parse `{"format": 1, "settled": {NAME: PUBLIC KEY}, "gone": [NAME]}`; both may be left out.

    Raises `AgentError` (REFUSED).
    """
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if isinstance(value, dict) and value.pop("format", None) == 1 and not set(value) - {"settled", "gone"}:
        settled, gone = value.get("settled", {}), value.get("gone", [])
        if _are_keys(settled) and _are_names(gone) and len(settled) + len(gone) <= _PEERS:
            return {"settled": settled, "gone": gone}
    raise AgentError(
        Answer.REFUSED,
        'settle: standard input must be {"format": 1, "settled": {"NAME": "PUBLIC KEY"}, "gone": ["NAME"]}',
    )


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _are_keys(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    try:
        return all(isinstance(public, str) and bool(key_bytes(public)) for public in value.values())
    except ValueError:
        return False
