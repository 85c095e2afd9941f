"""The days of the keys: what the state keeps of them in a mesh that has `rotation.maxAge`."""

from dataclasses import dataclass
from typing import Any

import pulumi

from mesh.ages import DATES, MAX_AGE, Dates, OldKeys, dates_of, old_keys, today
from mesh.names import GENERATIONS, STASH
from mesh.plan import MeshPlan
from mesh.program.generations import generations_of
from mesh.program.previous import Previous

__all__ = ["KeyDates", "key_dates"]


@dataclass(frozen=True, kw_only=True)
class KeyDates:
    """The days of the keys of all `nodes`: `kept` has those that stay, every other key is of this run."""

    max_age: int
    nodes: tuple[str, ...]
    taking_part: frozenset[str]
    kept: Dates

    def record(self) -> dict[str, Any]:
        """Return what a stash keeps; in a preview, a day of this run is unknown: `up` may run on another."""
        fresh: Any = pulumi.output.UNKNOWN if pulumi.runtime.is_dry_run() else today().isoformat()
        kept = {name: day.isoformat() for name, day in self.kept.nodes.items()}
        return {
            MAX_AGE: self.max_age,
            DATES: {
                "nodes": {name: kept.get(name, fresh) for name in sorted(self.nodes)},
                "preshared": self.kept.preshared.isoformat() if self.kept.preshared else fresh,
                "ssh": self.kept.ssh.isoformat() if self.kept.ssh else fresh,
            },
        }

    @property
    def old(self) -> OldKeys | None:
        """The keys that are too old, and stay in this run."""
        return old_keys(self.kept, max_age=self.max_age, taking_part=self.taking_part)


def key_dates(plan: MeshPlan, before: Previous) -> KeyDates | None:
    """Return the days of all keys; None in a mesh without `maxAge`.

    A key keeps its day as long as its version stays. Where the state has no day of a key, this run counts.
    """
    if plan.rotation is None or plan.rotation.max_age is None:
        return None
    record = before.record(STASH, GENERATIONS).get("input")
    given, had = generations_of(record), dates_of(record)
    names = {name: (name, *node.former) for name, node in plan.nodes.items()}
    stay = {
        name: had.nodes[known]
        for name, node in plan.nodes.items()
        if given.version(names[name]) == node.key_version
        and (known := next((each for each in names[name] if each in had.nodes), None)) is not None
    }
    return KeyDates(
        max_age=plan.rotation.max_age,
        nodes=tuple(plan.nodes),
        taking_part=frozenset(name for name, node in plan.nodes.items() if node.enabled),
        kept=Dates(
            nodes=stay,
            preshared=had.preshared if given.preshared == plan.preshared_version else None,
            ssh=had.ssh if given.ssh == plan.ssh_version else None,
        ),
    )
