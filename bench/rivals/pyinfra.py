"""The same work by pyinfra: one SSH connection per host for the whole run."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.environment import environment
from bench.fleet import Fleet
from bench.operators import Operator
from bench.rivals.inventory import SOURCE, inventory
from bench.rivals.rival import Rival

__all__ = ["RIVAL"]


class _Deploy:
    def __init__(self, folder: Path, fleet: Fleet, operator: Operator) -> None:
        self._folder = folder
        self._fleet = fleet
        self._operator = operator

    def target(self, count: int) -> None:
        """Write the inventory of the first `count` nodes."""
        hosts = [
            (
                host.name,
                {
                    "ssh_hostname": host.address,
                    "ssh_user": "root",
                    "ssh_key": str(host.key),
                    "ssh_known_hosts_file": str(self._folder / "known_hosts"),
                    "ssh_allow_agent": False,
                    "ssh_look_for_keys": False,
                    "overlay": host.overlay,
                },
            )
            for host in inventory(self._fleet, self._folder, count)
        ]
        (self._folder / "inventory.py").write_text(f"hosts = {hosts!r}\n")

    def converge(self) -> None:
        """Run it. Raises `BenchError` when it fails."""
        environ = {**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(self._folder)}
        words = [str(environment() / "pyinfra"), "-y", "inventory.py", "deploy.py"]
        self._operator.run(words, self._folder, environ)


@contextmanager
def _prepared(fleet: Fleet, operator: Operator) -> Iterator[_Deploy]:
    folder = fleet.folder / "pyinfra"
    shutil.copytree(SOURCE, folder)
    yield _Deploy(folder, fleet, operator)


RIVAL: Final = Rival(name="pyinfra", title="pyinfra", of=_prepared)
