"""What the agent asks of systemd."""

import sys
from collections.abc import Sequence
from pathlib import Path

from .answers import AgentError, Answer
from .places import Places
from .system import attempt, run

__all__ = [
    "active_state",
    "agent_command",
    "arm_timer",
    "disabled",
    "enable",
    "kill",
    "require_systemd",
    "start_detached",
    "stop",
]


def require_systemd() -> None:
    """Refuse a host without systemd as its init. Raises `AgentError`."""
    if not Path("/run/systemd/system").is_dir():
        raise AgentError(Answer.REFUSED, "this host does not run systemd, which the agent needs")


def agent_command(places: Places, *arguments: str) -> list[str]:
    """Return the command line that runs the installed agent."""
    return [sys.executable or "/usr/bin/python3", str(places.agent), *arguments]


def start_detached(unit: str, argv: Sequence[str]) -> None:
    """Run a command in a unit of its own, out of reach of this session's end. Raises `AgentError`."""
    run(["systemd-run", "--quiet", "--collect", f"--unit={unit}", "--", *argv])


def arm_timer(unit: str, seconds: float, argv: Sequence[str]) -> None:
    """Have a command run in so many seconds of monotonic time, and see that it is armed.

    Raises `AgentError`.

    Without AccuracySec a timer may be a minute late (systemd.timer(5), default 1min).
    """
    run(
        [
            "systemd-run",
            "--quiet",
            "--collect",
            f"--unit={unit}",
            f"--on-active={seconds:g}s",
            "--timer-property=AccuracySec=1s",
            "--",
            *argv,
        ]
    )
    if attempt(["systemctl", "is-active", "--quiet", f"{unit}.timer"]) is None:
        raise AgentError(Answer.FAILED, f"the rollback timer {unit} is not armed; nothing was changed")


def active_state(unit: str) -> str:
    """Return `active`, `activating`, `inactive`, `failed`..."""
    shown = attempt(["systemctl", "show", "--property=ActiveState", "--value", unit])
    return (shown or "").strip() or "inactive"


def stop(*units: str) -> None:
    """Stop units; those that do not exist are fine."""
    for unit in units:
        attempt(["systemctl", "stop", unit])


def kill(unit: str) -> None:
    """Kill every process of a unit, also stopped ones."""
    attempt(["systemctl", "kill", "--signal=SIGKILL", "--kill-who=all", unit])


def disabled(units: Sequence[str]) -> list[str]:
    """Return those units that do not start at boot."""
    return [unit for unit in units if attempt(["systemctl", "is-enabled", "--quiet", unit]) is None]


def enable(units: Sequence[str]) -> None:
    """Have units start at boot; those that already do are not touched. Raises `AgentError`."""
    missing = disabled(units)
    if missing:
        run(["systemctl", "enable", "--quiet", *missing])
