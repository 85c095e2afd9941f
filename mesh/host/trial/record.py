"""The record of a pending trial, in memory-backed storage: kept, read, forgotten."""

from __future__ import annotations

import contextlib
from enum import Enum

from ..records import asdict, dataclass
from ..system.run import boot_id, read_json, remove_tree, since_boot, write_json
from .armed import disarm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Optional

    from ..places import Places

__all__ = ["Phase", "Trial", "clear_trial", "is_overdue", "load_trial", "save_trial"]


class Phase(str, Enum):
    """What a pending trial can be; without one a node is idle."""

    ARMED = "armed"
    RUNNING = "running"
    LIVE = "live"
    ROLLING_BACK = "rolling-back"


# Stands for the number of a trial whose record cannot be read: systemctl(1) takes it for any.
_ANY = "*"


@dataclass(frozen=True)
class Trial:
    """A pending trial; times are seconds since boot.

    `repair` means that its digest was already the committed one, so that the removal of this record
    commits instead of the symlink. `ssh_ports` are those on which SSH came in before it.
    """

    txn: str
    digest: str
    phase: Phase
    boot: str
    deadline: float
    live_at: float
    repair: bool
    ssh_ports: Sequence[int] = ()

    @property
    def timers(self) -> tuple[str, str]:
        """The units of the two rollback timers."""
        return f"wgmesh-rollback-{self.txn}", f"wgmesh-rollback2-{self.txn}"

    @property
    def watch(self) -> str:
        """The unit of the process that undoes what the timers did not."""
        return f"wgmesh-watch-{self.txn}"

    @property
    def unit(self) -> str:
        """The unit the trial runs in, without its ending: a scope, or a service."""
        return f"wgmesh-trial-{self.txn}"

    @property
    def units(self) -> tuple[str, str]:
        """The units that the trial may run in."""
        return f"{self.unit}.scope", f"{self.unit}.service"

    @property
    def in_force(self) -> bool:
        """Whether the running system is to be what the trial's generation asks for."""
        return self.phase in (Phase.RUNNING, Phase.LIVE)

    @property
    def seconds_left(self) -> float:
        """Until the deadline; 0 when it is over."""
        return max(0.0, self.deadline - since_boot())


def load_trial(places: Places) -> Optional[Trial]:
    """Return the pending trial; one of an earlier boot is none.

    A record that cannot be read is a trial whose time is over: something was being changed.
    """
    if not places.trial.exists():
        return None
    trial = _read(read_json(places.trial) or {})
    return trial if trial.boot == boot_id() else None


def is_overdue(places: Places) -> bool:
    """Tell whether a trial is pending whose time is over."""
    trial = load_trial(places)
    return trial is not None and trial.seconds_left == 0


def _read(value: dict[str, Any]) -> Trial:
    try:
        # none where an agent of before wrote the record
        ports = tuple(int(port) for port in value.get("ssh_ports", ()))
        trial = Trial(**{**value, "phase": Phase(value.get("phase")), "ssh_ports": ports})
        numbers = (trial.deadline, trial.live_at)
        if all(isinstance(number, (int, float)) for number in numbers) and isinstance(trial.txn, str):
            return trial
    except (TypeError, ValueError):
        pass
    return Trial(_ANY, "", Phase.ROLLING_BACK, boot_id(), deadline=0.0, live_at=0.0, repair=False)


def save_trial(places: Places, trial: Trial) -> Trial:
    """Write the record of a trial and return it. Raises `OSError`."""
    write_json(places.trial, asdict(trial))
    return trial


def clear_trial(places: Places, trial: Trial) -> None:
    """Forget a trial: record first, so that a timer that fires in between finds nothing to do."""
    for path in (places.trial, places.undo):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    remove_tree(places.way_back)
    disarm(places.lent_units, trial.timers, trial.watch)
