"""Named steps of the agent, and a file by which a test makes one of them fail, hang or crash.

`/etc/wgmesh/failpoint` holds `STEP ACTION`: ACTION is `fail`, `kill`, `stop` or a number of seconds
to wait. Only root can write it; a node without the file is not affected.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from ..answers import AgentError, Answer

__all__ = ["STEPS", "step"]

STEPS = (
    "installed",
    "stored",
    "staged",
    "validated",
    "snapshot",
    "pending",
    "armed",
    "started",
    "trial",
    "firewall",
    "interface",
    "sysctl",
    "checked",
    "live",
    "confirming",
    "originals",
    "committed",
    "reconciled",
    "disarmed",
    "rollback",
    "undone-firewall",
    "undone-interface",
    "undone-sysctl",
    "rotation-begun",
    "rotation-recorded",
    "rotation-next",
    "rotation-wg0",
    "rotation-redirected",
    "rotation-said",
    "rotation-unplanned",
    "rotation-cleaned",
)
"""Every step at which a test may intervene, in the order of a run; each is reached when it is done."""

_FILE = Path("/etc/wgmesh/failpoint")


def step(name: str) -> None:
    """Mark that a step is done. Raises `AgentError` (FAILED) when a test asks for it."""
    if name not in STEPS:
        raise ValueError(name)
    with contextlib.suppress(OSError):
        wanted = _read().split()
        if len(wanted) == 2 and wanted[0] == name:
            _act(name, wanted[1])


def _read() -> str:
    """Read the file without waiting, whatever lies there. Raises `OSError`."""
    handle = os.open(_FILE, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(handle, 100).decode(errors="replace")
    finally:
        os.close(handle)


def _act(name: str, action: str) -> None:
    if action == "fail":
        raise AgentError(Answer.FAILED, f"made to fail after step {name}")
    if action in ("kill", "stop"):
        _FILE.unlink()  # once: the way back passes steps, too
        os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
    else:
        time.sleep(float(action))
