"""Running the engine and `python -m mesh`, with the stack's secrets and nothing else of this job."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tools.ci.redact import redacted
from tools.ci.runner import ACCESS, CiError

__all__ = ["Ran", "engine", "mesh", "watched"]

_PYTHON: Final = ".venv/bin/python"
# What a step of GitHub has and a stack's program does not need.
_NOT_PASSED: Final = ("GH_TOKEN", "GITHUB_TOKEN", "ACTIONS_", "SSH_AUTH_SOCK")


@dataclass(frozen=True)
class Ran:
    """The exit code of a command, and what it printed; `said` is stderr. Nothing is redacted here."""

    code: int
    out: str
    said: str


def engine(*words: str, stack: str | None) -> Ran:
    """Run the engine's command to its end; `stack` is None for a command about no stack."""
    return _run([*_engine(), *words, *_about(stack)])


def mesh(*words: str) -> Ran:
    """Run a command of `python -m mesh`."""
    return _run([_PYTHON, "-m", "mesh", *words])


def watched(*words: str, stack: str) -> Ran:
    """Run the engine's command and print its lines, redacted, while they come."""
    command = [*_engine(), *words, *_about(stack)]
    lines = []
    with subprocess.Popen(
        command, env=_environment(), text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            print(redacted(line), end="", flush=True)
    return Ran(process.returncode, "".join(lines), "")


def _engine() -> list[str]:
    return shlex.split(os.environ.get("WGMESH_PULUMI") or "pulumi")


def _about(stack: str | None) -> list[str]:
    return [] if stack is None else ["--stack", stack]


def _run(command: Sequence[str]) -> Ran:
    try:
        ran = subprocess.run(
            command, env=_environment(), check=False, text=True, errors="replace",
            stdin=subprocess.DEVNULL, capture_output=True,
        )  # fmt: skip
    except FileNotFoundError:
        raise CiError(f"`{command[0]}` is missing: run tools/ci/setup.sh in a step before") from None
    print(redacted(ran.stderr), end="", file=sys.stderr, flush=True)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def _environment() -> Mapping[str, str]:
    """Return the environment of this job, without its token, and without secrets that are not set."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_NOT_PASSED) and (value or name not in ACCESS)
    }
    return {**kept, "PULUMI_CONTINUE_ON_ERROR": "true", "PULUMI_SKIP_UPDATE_CHECK": "true"}
