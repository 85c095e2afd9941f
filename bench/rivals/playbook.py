"""A plain Ansible playbook, by ansible-core over SSH."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.environment import environment
from bench.fleet import Fleet
from bench.operators import Operator
from bench.rivals.inventory import SOURCE, inventory
from bench.rivals.rival import Rival

__all__ = ["RIVAL", "Playbook", "ssh_options"]


class Playbook:
    """The playbook for one fleet's hosts."""

    def __init__(self, folder: Path, fleet: Fleet, operator: Operator, options: Mapping[str, str]) -> None:
        """`options` are variables of Ansible's environment beside the usual ones."""
        self._folder = folder
        self._fleet = fleet
        self._operator = operator
        self._options = options

    def target(self, count: int) -> None:
        """Write the inventory of the first `count` nodes."""
        hosts = {
            host.name: {
                "ansible_host": host.address,
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(host.key),
                "overlay": host.overlay,
            }
            for host in inventory(self._fleet, self._folder, count)
        }
        (self._folder / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts}}))

    def converge(self) -> None:
        """Run it. Raises `BenchError` when it fails."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environ |= {
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(self._folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(self._folder / "home"),
            **self._options,
        }
        words = [str(environment() / "ansible-playbook"), "playbook.yml"]
        self._operator.run(words, self._folder, environ)


def ssh_options(folder: Path) -> str:
    """Return the options of SSH that every connection has: nothing of the user's own setup."""
    return f"-o LogLevel=ERROR -o IdentitiesOnly=yes -o UserKnownHostsFile={folder / 'known_hosts'}"


@contextmanager
def _prepared(fleet: Fleet, operator: Operator) -> Iterator[Playbook]:
    """Prepare a folder; the kept SSH connections are ended at the end."""
    folder = fleet.folder / "playbook"
    shutil.copytree(SOURCE, folder)
    # the path of a socket has 108 bytes at most
    with tempfile.TemporaryDirectory(prefix="wgmesh-") as sockets:
        options = {
            "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets,
            "ANSIBLE_SSH_ARGS": f"-o ControlMaster=auto -o ControlPersist=60s {ssh_options(folder)}",
        }
        try:
            yield Playbook(folder, fleet, operator, options)
        finally:
            _hang_up(Path(sockets))


def _hang_up(sockets: Path) -> None:
    for socket in sockets.iterdir():
        subprocess.run(
            ["ssh", "-O", "exit", "-o", f"ControlPath={socket}", "host"],
            check=False, stderr=subprocess.DEVNULL, timeout=20,
        )  # fmt: skip


RIVAL: Final = Rival(name="playbook", title="playbook", of=_prepared)
