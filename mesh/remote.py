"""How a node's agent is called from afar: what `up` and the commands of day two share. Imports no Pulumi."""

import hashlib
import json
import re
import shlex
from dataclasses import dataclass
from typing import Final

from mesh.names import AGENT, INCOMING

__all__ = [
    "BOOTSTRAP_SECONDS",
    "CALL_SECONDS",
    "OwnKey",
    "agent_call",
    "agent_named",
    "keys_call",
    "limited",
    "own_key_call",
    "own_key_input",
    "read_own_key",
]

CALL_SECONDS: Final = 120
"""Seconds a call of the agent may take on the node: twice what its own waits add up to."""
BOOTSTRAP_SECONDS: Final = 2400
"""Seconds for first contact: its own waits, for cloud-init and for packages, add up to 1800."""


_OWNER_DIGITS: Final = 32


def agent_call(command: str) -> str:
    """Return the shell command that runs a command of the agent, which the node itself ends when it hangs.

    Killed, as nothing less ends a process that is stopped. What it leaves, the next call takes up.
    """
    return f"exec timeout -s KILL {CALL_SECONDS} python3 {AGENT} {command}"


def keys_call(sha256: str) -> str:
    """Return the shell command that has one agent store the keys: a new one installs itself first.

    `sha256` is the digest of the agent's file, hex. So a preview shows a new agent by this line.
    """
    return _sent_agent_call(f"keys {sha256}")


def agent_named(line: str) -> str | None:
    """Return the digest that a line of `keys_call` names; None for the lines of versions before it."""
    found = re.search(r" keys ([0-9a-f]{64})\b", line)
    return found[1] if found else None


def own_key_call() -> str:
    """Return the shell command that has a node make its own key: by the agent that was copied last.

    The line names no agent, so that a new agent makes no new key.
    """
    return _sent_agent_call("own-key")


def _sent_agent_call(command: str) -> str:
    """Return the shell command that runs a command of the agent that was copied last."""
    script = f"agent={INCOMING}; [ -e $agent ] || agent={AGENT}; exec python3 $agent {command}"
    return limited(script, CALL_SECONDS)


def own_key_input(version: int, owner: str) -> str:
    """Return what `own-key` reads: which of a node's keys is asked for, and a digest of the owner's name."""
    digest = hashlib.sha256(owner.encode()).hexdigest()[:_OWNER_DIGITS]
    return json.dumps({"format": 1, "generation": version, "owner": digest})


@dataclass(frozen=True)
class OwnKey:
    """What a node tells of the key that it made: fingerprint, 16 hex digits, and public half, base64."""

    name: str
    public_key: str


def read_own_key(answer: str) -> OwnKey | None:
    """Read the answer of `own-key`; None of anything else."""
    found = re.search(r"^MADE [0-9]+ ([0-9a-f]{16}) ([A-Za-z0-9+/]{43}=)$", answer.rstrip(), re.MULTILINE)
    return OwnKey(found[1], found[2]) if found else None


def limited(script: str, seconds: int) -> str:
    """Return the shell command that runs a script within a time limit on the node."""
    return f"exec timeout -s KILL {seconds} sh -c {shlex.quote(script)}"
