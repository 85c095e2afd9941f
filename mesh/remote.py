"""How a node's agent is called from afar: what `up` and the commands of day two share. Imports no Pulumi."""

import shlex
from typing import Final

from mesh.names import AGENT

__all__ = ["BOOTSTRAP_SECONDS", "CALL_SECONDS", "agent_call", "limited"]

CALL_SECONDS: Final = 120
"""Seconds a call of the agent may take on the node: twice what its own waits add up to."""
BOOTSTRAP_SECONDS: Final = 2400
"""Seconds for first contact: its own waits, for cloud-init and for packages, add up to 1800."""


def agent_call(command: str, *, agent: str = AGENT) -> str:
    """Return the shell command that runs a command of the agent, which the node itself ends when it hangs.

    Killed, as nothing less ends a process that is stopped. What it leaves, the next call takes up.
    """
    return f"exec timeout -s KILL {CALL_SECONDS} python3 {agent} {command}"


def limited(script: str, seconds: int) -> str:
    """Return the shell command that runs a script within a time limit on the node."""
    return f"exec timeout -s KILL {seconds} sh -c {shlex.quote(script)}"
