"""What a node tells of itself: the fields of a report, which docs/protocol.md lists."""

from __future__ import annotations

import json

from ..records import asdict, dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Optional

    from ..difference import Difference
    from ..live.interface import Traffic
    from ..rotation.told import RotationReport
    from ..trial.rollback import Rollback

__all__ = ["IDLE", "PendingTrial", "Report"]

IDLE = "idle"
"""The state of a node without a trial."""


@dataclass(frozen=True)
class PendingTrial:
    """A trial under way; `seconds_left` until its deadline, 0 when that is over."""

    txn: str
    digest: str
    phase: str
    seconds_left: float


@dataclass(frozen=True)
class Report:
    """Where a node stands; `agent` and `current` are SHA-256 in hex, `peers` by public key. No secrets."""

    version: str
    agent: str
    current: Optional[str]
    state: str
    trial: Optional[PendingTrial]
    last_rollback: Optional[Rollback]
    rotation: Optional[RotationReport]
    peers: Mapping[str, Traffic]
    differences: Sequence[Difference]

    def as_json(self) -> str:
        """Return the report as it is printed."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)
