"""How a node's agent is called from afar: what `up` and the commands of day two share. Imports no Pulumi."""

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mesh.names import AGENT, BOOTSTRAP, INCOMING, KEYS
from mesh.said import last_line

__all__ = [
    "BOOTSTRAP_SECONDS",
    "CALL_SECONDS",
    "OwnKey",
    "agent_call",
    "agent_named",
    "has_run",
    "keys_call",
    "limited",
    "own_key_call",
    "own_key_input",
    "read_own_key",
    "read_secret_input",
    "secret_input",
]

CALL_SECONDS: Final = 120
"""Seconds a call of the agent may take on the node: twice what its own waits add up to."""
BOOTSTRAP_SECONDS: Final = 2400
"""Seconds for first contact: its own waits, for cloud-init and for packages, add up to 1800."""

_ENDS_A_SHELL: Final = "exit 97"
# With Python's own library alone, which is all that the agent needs. What else a host has (PYTHONPATH, .pth
# files, sitecustomize) may be broken, and takes a third of the interpreter's start.
_PYTHON: Final = "python3 -IS"
# The first word of the last line that steps end with (docs/protocol.md). Of `apply` see program/confirmed.py,
# of `own-key` `read_own_key`.
_LAST_WORDS: Final = {BOOTSTRAP: "ready", KEYS: "STORED"}

_OWNER_DIGITS: Final = 32


def agent_call(command: str) -> str:
    """Return the shell command that runs a command of the agent, which the node itself ends when it hangs.

    Killed, as nothing less ends a process that is stopped. What it leaves, the next call takes up.
    """
    return f"exec timeout -s KILL {CALL_SECONDS} {_PYTHON} {AGENT} {command}"


def keys_call(sha256: str) -> str:
    """Return the shell command that has one agent store the keys: a new one installs itself first.

    On a new host, the agent's file sees to first contact before. `sha256` is the digest of that file, hex. So
    a preview shows a new agent by this line.
    """
    return _sent_agent_call(f"keys {sha256}")


def agent_named(line: str) -> str | None:
    """Return the digest that a line of `keys_call` names; None for the lines of versions before it."""
    found = re.search(r" keys ([0-9a-f]{64})\b", line)
    return found[1] if found else None


def has_run(step: str, answer: str) -> bool:
    """Whether the answer of a step's command shows that it was run; True of a step that has no last word."""
    expected = _LAST_WORDS.get(step)
    return expected is None or last_line(answer).partition(" ")[0] == expected


def own_key_call() -> str:
    """Return the shell command that has a node make its own key: by the agent that was copied last.

    The line names no agent, so that a new agent makes no new key.
    """
    return _sent_agent_call("own-key")


def _sent_agent_call(command: str) -> str:
    """Return the shell command that runs a command of the agent that was copied last.

    The copied file is a shell script, too, which runs this command once the host is ready for it.
    """
    run = f"timeout -s KILL {CALL_SECONDS} {_PYTHON}"
    script = (
        f"[ -e {INCOMING} ] || exec {run} {AGENT} {command}; exec sh {INCOMING} {run} {INCOMING} {command}"
    )
    return limited(script, BOOTSTRAP_SECONDS + CALL_SECONDS)


def secret_input(value: Mapping[str, Any]) -> str:
    """Return what a command reads that is given a secret: a line that ends any other shell, then JSON.

    A start file may put another shell in the place of the one that runs the command (`exec zsh`). That one
    would take what comes here for commands, and print it.
    """
    return f"{_ENDS_A_SHELL}\n{json.dumps(value)}"


def read_secret_input(text: str) -> dict[str, Any]:
    """Read what `secret_input` returned; versions before this one had no line before the JSON."""
    value: dict[str, Any] = json.loads(text[text.index("{") :])
    return value


def own_key_input(version: int, owner: str, host_key: str) -> str:
    """Return what `own-key` reads: which of a node's keys is asked for, and a digest of the owner's name.

    First contact, which comes before, reads the SSH host key, private half.
    """
    digest = hashlib.sha256(owner.encode()).hexdigest()[:_OWNER_DIGITS]
    return secret_input({"format": 1, "generation": version, "owner": digest, "host_key": host_key})


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
