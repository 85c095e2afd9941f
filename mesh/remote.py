"""How a node's agent is called from afar: what `up` and the commands of day two share. Imports no Pulumi."""

import re
import shlex
from typing import Final

from mesh.names import AGENT, INCOMING

__all__ = ["BOOTSTRAP_SECONDS", "CALL_SECONDS", "agent_call", "agent_named", "keys_call", "limited"]

CALL_SECONDS: Final = 120
"""Seconds a call of the agent may take on the node: twice what its own waits add up to."""
BOOTSTRAP_SECONDS: Final = 2400
"""Seconds for first contact: its own waits, for cloud-init and for packages, add up to 1800."""


def agent_call(command: str) -> str:
    """Return the shell command that runs a command of the agent, which the node itself ends when it hangs.

    Killed, as nothing less ends a process that is stopped. What it leaves, the next call takes up.
    """
    return f"exec timeout -s KILL {CALL_SECONDS} python3 {AGENT} {command}"


def keys_call(sha256: str) -> str:
    """Return the shell command that has one agent store the keys: a new one installs itself first.

    `sha256` is the digest of the agent's file, hex. So a preview shows a new agent by this line.
    """
    script = f"agent={INCOMING}; [ -e $agent ] || agent={AGENT}; exec python3 $agent keys {sha256}"
    return limited(script, CALL_SECONDS)


def agent_named(line: str) -> str | None:
    """Return the digest that a line of `keys_call` names; None for the lines of versions before it."""
    found = re.search(r" keys ([0-9a-f]{64})\b", line)
    return found[1] if found else None


def limited(script: str, seconds: int) -> str:
    """Return the shell command that runs a script within a time limit on the node."""
    return f"exec timeout -s KILL {seconds} sh -c {shlex.quote(script)}"
