"""What the agent asks of systemd."""

from __future__ import annotations

import sys
from pathlib import Path

from ..answers import AgentError, Answer
from .run import attempt, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Optional

__all__ = [
    "active_state",
    "agent_command",
    "arm_timers",
    "disabled",
    "enable",
    "kill",
    "require_systemd",
    "start_detached",
    "start_watch",
    "stop",
    "unit_file_state",
]

# Nobody isolates a trial or its way back (`systemctl isolate`, and what it stops first, sysinit.target).
_STAYS = ("IgnoreOnIsolate=yes", "DefaultDependencies=no")
_TIMER_STAYS = [f"--timer-property={setting}" for setting in _STAYS]
# A journal that hangs is not connected to.
_ALONE = [f"--property={setting}" for setting in (*_STAYS, "StandardOutput=null", "StandardError=null")]
# A userspace WireGuard that was made on the way back lives on.
_LEAVES_CHILDREN = "--property=KillMode=process"
# Seconds for systemd to kill a unit.
_KILL = 5.0


def require_systemd() -> None:
    """Refuse a host without systemd as its init. Raises `AgentError`."""
    if not Path("/run/systemd/system").is_dir():
        raise AgentError(Answer.REFUSED, "this host does not run systemd, which the agent needs")


def agent_command(agent: Path, *arguments: str) -> list[str]:
    """Return the command line that runs the agent at this path."""
    return [sys.executable or "/usr/bin/python3", str(agent), *arguments]


def start_detached(unit: str, argv: Sequence[str]) -> None:
    """Run a command in a unit of its own, out of reach of this session's end. Raises `AgentError`."""
    run(["systemd-run", "--quiet", "--collect", f"--unit={unit}", *_ALONE, "--", *argv])


def arm_timers(timers: Mapping[str, float], argv: Sequence[str]) -> None:
    """Have a command run after these many seconds of monotonic time, by timer; see that each is armed.

    Raises `AgentError`. Without AccuracySec a timer may be a minute late (systemd.timer(5), default 1min).
    """
    for unit, seconds in timers.items():
        run(
            [
                *("systemd-run", "--quiet", "--collect", f"--unit={unit}", f"--on-active={seconds:g}s"),
                *("--timer-property=AccuracySec=1s", *_TIMER_STAYS, *_ALONE, _LEAVES_CHILDREN),
                *("--", *argv),
            ]
        )
    states = _told("is-active", [f"{unit}.timer" for unit in timers])
    if states != ["active"] * len(timers):
        raise AgentError(Answer.FAILED, "the rollback timers are not armed; nothing was changed")


def start_watch(unit: str, argv: Sequence[str]) -> None:
    """Have a process watch a trial, and be started again when it is killed. Raises `AgentError`."""
    again = ["--property=Restart=on-failure", "--property=RestartSec=1"]
    run(
        [
            *("systemd-run", "--quiet", "--collect", f"--unit={unit}"),
            *(*_ALONE, _LEAVES_CHILDREN, *again, "--", *argv),
        ]
    )


def _told(verb: str, units: Sequence[str]) -> list[str]:
    """Ask one question about several units at once; their exit code speaks of one of them only."""
    script = 'systemctl "$@" 2>/dev/null; true'
    return run(["sh", "-c", script, "sh", verb, *units]).split()


def active_state(unit: str) -> str:
    """Return `active`, `activating`, `inactive`, `failed`..."""
    shown = attempt(["systemctl", "show", "--property=ActiveState", "--value", unit])
    return (shown or "").strip() or "inactive"


def unit_file_state(unit: str) -> str:
    """Return `enabled`, `disabled`, `masked`, `static`...; empty when there is no such unit."""
    shown = attempt(["systemctl", "show", "--property=UnitFileState", "--value", unit])
    return (shown or "").strip()


def stop(*units: str, timeout: Optional[float] = None) -> None:
    """Stop units, waiting at most `timeout` seconds; those that do not exist are fine."""
    attempt(["systemctl", "stop", *units], timeout=timeout)


def kill(unit: str) -> None:
    """Kill every process of a unit, also stopped ones."""
    attempt(["systemctl", "kill", "--signal=SIGKILL", "--kill-who=all", unit], timeout=_KILL)


def disabled(units: Sequence[str]) -> list[str]:
    """Return those units that do not start at boot."""
    states = _told("is-enabled", units)
    if len(states) != len(units):  # one that does not exist has no state, and ends the answer
        states = [" ".join(_told("is-enabled", [unit])) for unit in units]
    return [unit for unit, state in zip(units, states) if state != "enabled"]


def enable(units: Sequence[str]) -> None:
    """Have units start at boot; those that already do are not touched. Raises `AgentError`."""
    missing = disabled(units)
    if missing:
        run(["systemctl", "enable", "--quiet", *missing])
