"""What the agent asks of systemd."""

from __future__ import annotations

import sys
from pathlib import Path

from ..answers import AgentError, Answer
from .run import attempt, run, told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Optional

__all__ = [
    "active_state",
    "active_states",
    "agent_command",
    "disabled",
    "enable",
    "kill",
    "knows",
    "require_systemd",
    "start_detached",
    "start_new",
    "stop",
    "unit_file_state",
]

# Nobody isolates a trial (`systemctl isolate`, and what it stops first, sysinit.target), and a journal that
# hangs is not connected to.
_ALONE = [
    f"--property={setting}"
    for setting in (
        *("IgnoreOnIsolate=yes", "DefaultDependencies=no"),
        *("StandardOutput=null", "StandardError=null"),
    )
]
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


def start_new(units: Sequence[str]) -> None:
    """Start units whose files were written just now, and see that each of them is active.

    Raises `AgentError`. systemd looks for a unit that it does not know; should it not find one, it reads all
    units again.
    """
    if attempt(["systemctl", "start", *units]) is None:
        run(["systemctl", "daemon-reload"])
        run(["systemctl", "start", *units])
    if active_states(units) != ["active"] * len(units):
        raise AgentError(Answer.FAILED, f"{', '.join(units)} did not start; nothing was changed")


def active_states(units: Sequence[str]) -> list[str]:
    """Return `active`, `activating`, `inactive`, `failed`... of each unit; `unknown` if nobody tells."""
    states = told(["systemctl", "is-active", *units]).split()
    return states if len(states) == len(units) else ["unknown"] * len(units)


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


def kill(*units: str) -> None:
    """Kill every process of units, also stopped ones; those that do not exist are fine."""
    attempt(["systemctl", "kill", "--signal=SIGKILL", "--kill-who=all", *units], timeout=_KILL)


def disabled(units: Sequence[str]) -> list[str]:
    """Return those units that do not start at boot."""
    states = told(["systemctl", "is-enabled", *units]).split()
    if len(states) != len(units):  # one that does not exist has no state, and ends the answer
        states = [told(["systemctl", "is-enabled", unit]).strip() for unit in units]
    return [unit for unit, state in zip(units, states) if state != "enabled"]


def enable(units: Sequence[str]) -> bool:
    """Have units start at boot; those that already do are not touched. Raises `AgentError`.

    Tells whether there was need. Where there was, systemd has read all units again (systemctl(1), enable).
    """
    missing = disabled(units) if units else []
    if missing:
        run(["systemctl", "enable", "--quiet", *missing])
    return bool(missing)


def knows(paths: Iterable[Path]) -> bool:
    """Tell whether systemd goes by these unit files and drop-ins as they are now, `UNIT` or `UNIT.d/NAME`.

    A unit that systemd does not know yet is read by this very question. A drop-in of a unit that is not
    installed has nothing to say, which is fine.
    """
    named = {path: path.parent.stem if path.parent.suffix == ".d" else path.name for path in paths}
    units = list(dict.fromkeys(named.values()))
    wanted = "LoadState,FragmentPath,DropInPaths,NeedDaemonReload"
    blocks = told(["systemctl", "show", f"--property={wanted}", *units]).strip().split("\n\n")
    if len(blocks) != len(units):
        return False
    return all(_goes_by(path, blocks[units.index(name)]) for path, name in named.items())


def _goes_by(path: Path, block: str) -> bool:
    shown = dict(line.partition("=")[::2] for line in block.splitlines())
    if path.parent.suffix == ".d" and shown.get("LoadState") == "not-found":
        return True
    files = [shown.get("FragmentPath", ""), *shown.get("DropInPaths", "").split()]
    return str(path) in files and shown.get("NeedDaemonReload") == "no"
