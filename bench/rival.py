"""The baseline: a plain Ansible playbook on the same hosts, by ansible-core over SSH."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.fleet import FOLDER, BenchError, Fleet, names
from lab.testing import REPOSITORY

__all__ = ["Playbook", "environment"]

_SOURCE: Final = Path(__file__).parent / "baseline"
_REQUIREMENTS: Final = REPOSITORY / "requirements" / "bench.txt"
_SECONDS: Final = 1800


def environment() -> Path:
    """Return the `bin` folder of the environment with Ansible and matplotlib, made when it is not there."""
    digest = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = FOLDER / f"venv-{digest}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run(
            [folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check",
             "--require-hashes", "-r", str(_REQUIREMENTS)], check=True,
        )  # fmt: skip
        (folder / "complete").touch()
    return folder / "bin"


class Playbook:
    """The playbook for one fleet's hosts; takes the place of `up`."""

    def __init__(self, fleet: Fleet, folder: Path, sockets: Path) -> None:
        self._fleet = fleet
        self._folder = folder
        self._sockets = sockets

    @staticmethod
    @contextmanager
    def of(fleet: Fleet) -> Iterator["Playbook"]:
        """Prepare a folder for it; its SSH connections are ended at the end."""
        folder = fleet.folder / "playbook"
        shutil.copytree(_SOURCE, folder)
        # the path of a socket has 108 bytes at most
        with tempfile.TemporaryDirectory(prefix="wgmesh-") as sockets:
            playbook = Playbook(fleet, folder, Path(sockets))
            try:
                yield playbook
            finally:
                playbook._hang_up()

    def target(self, count: int) -> None:
        """Write the inventory of the first `count` nodes."""
        outputs = self._fleet.outputs()
        key = self._folder / "key"
        key.touch(mode=0o600)
        key.write_text(outputs["ssh_private_key"])
        hosts = {
            name: {
                "ansible_host": outputs["nodes"][name]["public_ip"],
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(key),
                "overlay": outputs["nodes"][name]["address"],
            }
            for name in names(count)
        }
        (self._folder / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts}}))

    def run(self) -> None:
        """Run it. Raises `BenchError` when it fails."""
        ssh = "-o ControlMaster=auto -o ControlPersist=60s -o LogLevel=ERROR -o IdentitiesOnly=yes"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environ |= {
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(self._folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(self._folder / "home"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._sockets),
            "ANSIBLE_SSH_ARGS": f"{ssh} -o UserKnownHostsFile={self._folder / 'known_hosts'}",
        }
        result = subprocess.run(
            [environment() / "ansible-playbook", "playbook.yml"],
            cwd=self._folder, env=environ, check=False, timeout=_SECONDS, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        (self._folder / "last.log").write_text(result.stdout)
        if result.returncode != 0:
            raise BenchError(f"the playbook failed ({result.returncode}):\n{result.stdout[-3000:]}")

    def _hang_up(self) -> None:
        for socket in self._sockets.iterdir():
            subprocess.run(
                ["ssh", "-O", "exit", "-o", f"ControlPath={socket}", "host"],
                check=False, stderr=subprocess.DEVNULL, timeout=20,
            )  # fmt: skip
