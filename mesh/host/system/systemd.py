"""What the agent asks of systemd."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from ..answers import AgentError, Answer
from .run import attempt, run, told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Optional

    from .manager import Manager

__all__ = [
    "active_state",
    "active_states",
    "agent_command",
    "disabled",
    "enable",
    "kill",
    "knows",
    "require_systemd",
    "reset_failed",
    "start_detached",
    "start_new",
    "start_soon",
    "stop",
    "take_over",
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
_NAME = "org.freedesktop.systemd1"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_REPLACE = "replace"  # a job that is in the way, as `systemctl` does (systemctl(1), --job-mode)
# Seconds for systemd to kill a unit.
_KILL = 5.0


def require_systemd() -> None:
    """Refuse a host without systemd as its init. Raises `AgentError`."""
    if not Path("/run/systemd/system").is_dir():
        raise AgentError(Answer.REFUSED, "this host does not run systemd, which the agent needs")


def _manager(*, timeout: Optional[float] = None) -> Manager:
    """Return a connection to systemd; sockets are costly to import, and `keys` needs none."""
    from .manager import Manager

    return Manager(timeout=timeout)


def agent_command(agent: Path, *arguments: str) -> list[str]:
    """Return the command line that runs the agent at this path, with Python's own library alone."""
    return [sys.executable or "/usr/bin/python3", "-IS", str(agent), *arguments]


def start_detached(unit: str, argv: Sequence[str]) -> None:
    """Run a command in a unit of its own, out of reach of this session's end. Raises `AgentError`."""
    run(["systemd-run", "--quiet", "--collect", f"--unit={unit}", *_ALONE, "--", *argv])


def start_new(units: Sequence[str]) -> None:
    """Start units whose files were written just now, and see that each of them is active.

    Raises `AgentError`. systemd looks for a unit that it does not know; should it not find one, it reads all
    units again.
    """
    if not _start(units):
        run(["systemctl", "daemon-reload"])
        run(["systemctl", "start", *units])
    if active_states(units) != ["active"] * len(units):
        raise AgentError(Answer.FAILED, f"{', '.join(units)} did not start; nothing was changed")


def _start(units: Sequence[str]) -> bool:
    """Start units and wait for them; tells whether all of them did."""
    try:
        with _manager() as systemd:
            jobs = [systemd.call("StartUnit", "ss", unit, _REPLACE)[0] for unit in units]
            return {*systemd.finish(jobs)} == {"done"}
    except AgentError:
        return False


def start_soon(units: Sequence[str]) -> None:
    """Have units start that may have failed before; does not wait for them. Raises `AgentError`."""
    with _manager() as systemd:
        for unit in units:
            _forget_failure(systemd, unit)
            systemd.call("StartUnit", "ss", unit, _REPLACE)


def reset_failed(unit: str) -> None:
    """Have a unit start again that has failed, however often; one that does not exist is fine."""
    with contextlib.suppress(AgentError), _manager() as systemd:
        _forget_failure(systemd, unit)


def _forget_failure(systemd: Manager, unit: str) -> None:
    with contextlib.suppress(AgentError):
        systemd.call("ResetFailedUnit", "s", unit)


def take_over(unit: str, pid: int, properties: Sequence[tuple[str, tuple[str, Any]]]) -> None:
    """Have a scope of this name made of a process. Raises `AgentError`."""
    with _manager() as systemd:
        own = [*properties, ("PIDs", ("au", [pid]))]
        made = systemd.call("StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", own, [])
        (result,) = systemd.finish(made)
    if result != "done":
        raise AgentError(Answer.FAILED, f"systemd: {unit}: {result}")


def active_states(units: Sequence[str]) -> list[str]:
    """Return `active`, `activating`, `inactive`, `failed`... of each unit; `unknown` if nobody tells."""
    try:
        with _manager() as systemd:
            (rows,) = systemd.call("ListUnitsByNames", "as", units)
    except AgentError:
        return ["unknown"] * len(units)
    states = {row[0]: row[3] for row in rows}  # name, description, load state, active state...
    return [states.get(unit, "unknown") for unit in units]


def active_state(unit: str) -> str:
    """Return `active`, `activating`, `inactive`, `failed`...; `inactive` if nobody tells."""
    (state,) = active_states([unit])
    return "inactive" if state == "unknown" else state


def unit_file_state(unit: str) -> str:
    """Return `enabled`, `disabled`, `masked`, `static`...; empty when there is no such unit."""
    try:
        with _manager() as systemd:
            (path,) = systemd.call("LoadUnit", "s", unit)
            asked = (f"{_NAME}.Unit", "UnitFileState")
            (state,) = systemd.call("Get", "ss", *asked, path=path, interface=_PROPERTIES)
    except AgentError:
        return ""
    return str(state)


def stop(*units: str, timeout: Optional[float] = None) -> None:
    """Stop units, waiting at most `timeout` seconds; those that do not exist are fine.

    Names may hold `*`, which `systemctl` knows about.
    """
    if any("*" in unit for unit in units):
        attempt(["systemctl", "stop", *units], timeout=timeout)
        return
    jobs: list[str] = []
    with contextlib.suppress(AgentError), _manager(timeout=timeout) as systemd:
        for unit in units:
            with contextlib.suppress(AgentError):
                jobs += systemd.call("StopUnit", "ss", unit, _REPLACE)
        systemd.finish(jobs)


def kill(*units: str) -> None:
    """Kill every process of units, also stopped ones; those that do not exist are fine."""
    attempt(["systemctl", "kill", "--signal=SIGKILL", "--kill-who=all", *units], timeout=_KILL)


def disabled(units: Sequence[str]) -> list[str]:
    """Return those units that do not start at boot."""
    with _manager() as systemd:
        return [unit for unit in units if not _is_enabled(systemd, unit)]


def _is_enabled(systemd: Manager, unit: str) -> bool:
    """Tell whether a unit starts at boot; one that does not exist does not."""
    try:
        return systemd.call("GetUnitFileState", "s", unit) == ("enabled",)
    except AgentError:
        return False


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
