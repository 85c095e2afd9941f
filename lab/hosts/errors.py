"""Failures of hosts, and how commands are run so that they can be told."""

import subprocess
from collections.abc import Sequence

__all__ = ["HostError", "run"]

_TAIL = 400  # characters of a failed command's message that an error shows


class HostError(Exception):
    """A host, the network between hosts or the image is not as it should be; says where and why."""


def run(*words: str, where: str, stdin: str | None = None) -> str:
    """Run a command and return its output. Raises `HostError` that starts with `where`."""
    try:
        result = subprocess.run(words, check=False, capture_output=True, text=True, input=stdin)
    except FileNotFoundError:
        raise HostError(f"{where}: `{words[0]}` is not installed; run tools/setup.sh lab") from None
    if result.returncode != 0:
        message = (result.stderr or result.stdout).strip()[-_TAIL:]
        raise HostError(f"{where}: `{' '.join(words)}` failed ({result.returncode}): {message}")
    return result.stdout


def succeeds(words: Sequence[str]) -> bool:
    """Whether a command ends with status 0; what it prints is of no interest."""
    return subprocess.run(words, check=False, capture_output=True).returncode == 0
