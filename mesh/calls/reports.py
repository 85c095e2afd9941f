"""What an agent reports, checked: its shape, its numbers, its depth; a bad one is a `ReportError`.

docs/protocol.md has the fields. More of them than are known here are left out: a newer agent may have them.
"""

import json
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mesh.said import shown, visible

__all__ = [
    "Peer",
    "Report",
    "ReportError",
    "ReportedDifference",
    "ReportedPair",
    "ReportedRotation",
    "Trial",
    "parse_report",
]

# The largest number a counter of the kernel holds.
_COUNTER: Final = 2**64
_MOST_PEERS: Final = 5_000
_MOST_DIFFERENCES: Final = 5_000

_Text = Annotated[str, Field(max_length=2_000), AfterValidator(visible)]
_Count = Annotated[int, Field(ge=0, lt=_COUNTER)]


class ReportError(Exception):
    """It is no report; the message says why, in visible characters."""


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, frozen=True)


class Trial(_Model):
    """A trial under way; seconds until its deadline."""

    seconds_left: Annotated[float, Field(ge=-1e9, le=1e9)]


class Peer(_Model):
    """What passes to and from a peer: seconds since the latest handshake (None: never), bytes.

    `keepalive` are the seconds of silence after which the node sends something, 0 for never. Older agents do
    not tell that.
    """

    endpoint: _Text | None = None
    handshake_age: _Count | None
    received: _Count
    sent: _Count
    keepalive: _Count | None = None


class ReportedDifference(_Model):
    """What differs on a node, how it is and how it should be."""

    item: _Text
    live: _Text
    wanted: _Text


class ReportedPair(_Model):
    """How far a node is with a peer while keys are replaced.

    `route` is the interface that packets to the peer leave by: `old`, `next`, or `new`. `waits` says what the
    node waits for; empty: nothing. `former` is the public key that the peer had before.
    """

    route: Literal["old", "next", "new"]
    waits: _Text
    former: _Text | None = None


class ReportedRotation(_Model):
    """A rotation of keys under way: since when (Unix seconds), and the pairs that change, by the peer's name.

    In the phase `linger` nothing is missing any more.
    """

    phase: Literal["both", "rekeyed", "linger"]
    since: Annotated[float, Field(ge=0, le=1e12)]
    pairs: Annotated[dict[_Text, ReportedPair], Field(max_length=_MOST_PEERS)]

    @property
    def under_way(self) -> bool:
        """Whether anything is missing yet."""
        return self.phase != "linger"


class Report(_Model):
    """Where a node stands; `agent` and `current` are SHA-256 in hex, `peers` by public key.

    `rotation` is None where no keys are being replaced. Older agents do not have it.
    """

    agent: _Text
    current: _Text | None
    state: _Text
    trial: Trial | None
    peers: Annotated[dict[_Text, Peer], Field(max_length=_MOST_PEERS)]
    differences: Annotated[list[ReportedDifference], Field(max_length=_MOST_DIFFERENCES)]
    rotation: ReportedRotation | None = None


def parse_report(text: str) -> Report:
    """Return a report, as far as its fields are known. Raises `ReportError`."""
    try:
        value = json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_no_number)
        return Report.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "all of it"
        raise ReportError(shown(f"{place}: {first['msg']}")) from None
    except (ValueError, RecursionError) as error:
        raise ReportError(shown(f"no JSON: {error}")) from None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number")
