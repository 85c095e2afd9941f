"""How old keys are: the days that the state keeps, which keys are too old, in which words, and what helps.

The program keeps the days. The program and `mesh check` tell. Imports no Pulumi.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any, Final

__all__ = ["DATES", "MAX_AGE", "NO_DATES", "Dates", "OldKeys", "dates_of", "old_keys", "old_keys_of", "today"]

MAX_AGE: Final = "maxAge"
"""The highest age of a key in days, beside the numbers of the keys in the state."""
DATES: Final = "dates"
"""The days on which the keys were made, beside that."""
_OUT: Final = "out"
"""The nodes that take no part, in the same record."""

_NAMED: Final = 5
"""Nodes that a message names: it has at most some 1000 characters, whatever the size of the mesh."""


def today() -> date:
    """Return the day in UTC."""
    return datetime.now(UTC).date()


@dataclass(frozen=True, kw_only=True)
class Dates:
    """The days, in UTC, of the `up` that made each key; without the keys whose day is not known."""

    nodes: Mapping[str, date] = field(default_factory=dict)
    preshared: date | None = None
    ssh: date | None = None


NO_DATES: Final = Dates()
"""Of a state that keeps no days."""


def dates_of(kept: object) -> Dates:
    """Read the days out of the record of keys in the state."""
    found = kept.get(DATES) if isinstance(kept, Mapping) else None
    if not isinstance(found, Mapping):
        return NO_DATES
    nodes = {str(name): _day(day) for name, day in (found.get("nodes") or {}).items()}
    return Dates(
        nodes={name: day for name, day in nodes.items() if day is not None},
        preshared=_day(found.get("preshared")),
        ssh=_day(found.get("ssh")),
    )


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:  # a run that failed early leaves what a preview would show
        return None


@dataclass(frozen=True, kw_only=True)
class OldKeys:
    """The keys that are older than `max_age` days, and the days on which they were made.

    `nodes` are the nodes whose identity is too old. `everybody` is whether no other node takes part.
    """

    max_age: int
    nodes: Mapping[str, date]
    preshared: date | None
    ssh: date | None
    everybody: bool

    @property
    def rotations(self) -> tuple[tuple[str, ...], ...]:
        """The words of each `mesh rotate` that asks for other keys."""
        shared = (*(("--preshared",) if self.preshared else ()), *(("--ssh",) if self.ssh else ()))
        if self.everybody:
            return ((), shared) if shared else ((),)
        return ((*self.nodes, *shared),)

    def __str__(self) -> str:
        """Return one line: which keys, since when, and what helps; the same on every later day."""
        kinds = (
            _identities(self.nodes),
            _since("pre-shared keys", self.preshared),
            _since("SSH keys", self.ssh),
        )
        found = "; ".join(kind for kind in kinds if kind)
        days = f"{self.max_age} day{'s' if self.max_age > 1 else ''}"
        return (
            f"keys are older than {days} (rotation.maxAge): {found}. For other keys, run "
            f"{_and(self._commands())}, then `pulumi up` (docs/rotation.md)."
        )

    def record(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "max_age": self.max_age,
            "nodes": {name: day.isoformat() for name, day in self.nodes.items()},
            "preshared": self.preshared and self.preshared.isoformat(),
            "ssh": self.ssh and self.ssh.isoformat(),
            "rotate": [list(words) for words in self.rotations],
            "told": str(self),
        }

    def _commands(self) -> list[str]:
        names = [*self.nodes]
        if len(names) <= _NAMED or self.everybody:
            return [f"`{' '.join(('mesh rotate', *words))}`" for words in self.rotations]
        options = self.rotations[0][len(names) :]
        return [f"`{' '.join(('mesh rotate NODE...', *options))}` (`mesh check --json` has all names)"]


def old_keys(
    dates: Dates, *, max_age: int, taking_part: Collection[str], day: date | None = None
) -> OldKeys | None:
    """Return the keys that are older than `max_age` days on a `day`, by default today; None if none is.

    The identity of a node counts only if the node is `taking_part`.
    """
    now = day or today()

    def too_old(made: date | None) -> bool:
        return made is not None and (now - made).days > max_age

    nodes = sorted(
        (made, name) for name, made in dates.nodes.items() if name in taking_part and too_old(made)
    )
    found = OldKeys(
        max_age=max_age,
        nodes={name: made for made, name in nodes},
        preshared=dates.preshared if too_old(dates.preshared) else None,
        ssh=dates.ssh if too_old(dates.ssh) else None,
        everybody=bool(nodes) and len(nodes) == len({*taking_part}),
    )
    return found if found.nodes or found.preshared or found.ssh else None


def old_keys_of(kept: object) -> OldKeys | None:
    """Return the keys that are too old today, by the record of keys in the state."""
    if not isinstance(kept, Mapping) or kept.get(MAX_AGE) is None:
        return None
    dates = dates_of(kept)
    taking_part = dates.nodes.keys() - set(kept.get(_OUT) or ())
    return old_keys(dates, max_age=int(kept[MAX_AGE]), taking_part=taking_part)


def _identities(nodes: Mapping[str, date]) -> str:
    """Return the first nodes, those of one day together."""
    if not nodes:
        return ""
    named = [*nodes][:_NAMED]
    days = [_since(_and([*names]), day) for day, names in groupby(named, lambda name: nodes[name])]
    more = len(nodes) - len(named)
    rest = (f"{more} more node{'s' if more > 1 else ''}",) if more else ()
    kind = "identities" if len(nodes) > 1 else "identity"
    return f"{kind} of {_and((*days, *rest))}"


def _since(what: str, made: date | None) -> str:
    return f"{what} (made {made.isoformat()})" if made else ""


def _and(words: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
