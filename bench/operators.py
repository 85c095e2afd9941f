"""The operator's side of a measured run: a control group that holds all processes of a tool."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.cpu import cpu_seconds, groups_root
from bench.trouble import BenchError
from lab.hosts import cgroups

__all__ = ["Operator"]

_SECONDS: Final = 1800
_KEPT_CHARACTERS: Final = 3000
# Moves into the group of the first argument and becomes the command that follows.
_INTO_GROUP: Final = 'echo $$ >"$0"/cgroup.procs && exec "$@"'


class Operator:
    """Runs commands in one control group; also what they leave running is counted, and ended at the end."""

    def __init__(self, name: str) -> None:
        self._name = name

    @staticmethod
    @contextmanager
    def of_a_run() -> Iterator["Operator"]:
        """Make the group. Raises `BenchError` on a machine without control groups of version 2."""
        name = f"wgmesh-bench-{os.getpid()}"
        (groups_root() / name).mkdir(exist_ok=True)
        try:
            yield Operator(name)
        finally:
            cgroups.end_all(name)

    def words(self, *words: str) -> list[str]:
        """Return the command line that runs `words` in the group."""
        return ["sh", "-c", _INTO_GROUP, str(groups_root() / self._name), *words]

    def cpu(self) -> float:
        """Return the CPU seconds of all processes so far."""
        return cpu_seconds(self._name)

    def run(self, words: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
        """Run a command in a folder; its output is kept there. Raises `BenchError` when it fails."""
        result = subprocess.run(
            self.words(*words), cwd=folder, env=environ, check=False, timeout=_SECONDS, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        (folder / "last.log").write_text(result.stdout)
        if result.returncode != 0:
            name = Path(words[0]).name
            raise BenchError(f"{name} failed ({result.returncode}):\n{result.stdout[-_KEPT_CHARACTERS:]}")
