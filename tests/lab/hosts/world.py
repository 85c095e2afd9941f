"""Hosts for tests, and what this machine shows of them."""

import json
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.hosts import HostSpec, Lab
from lab.processes import start_time
from lab.testing import wait

IMAGES = Path(os.environ.get("WGMESH_IMAGES", Path(__file__).parents[3] / ".lab" / "image"))
"""Kept between runs, as building an image takes most of a minute."""

CLOUD_INIT = "cat /run/cloud-init/result.json"
"""Fails until cloud-init has ended. `cloud-init status` starts a Python for each answer."""


def booted_well(said: str) -> bool:
    """Whether cloud-init came to its end, as `CLOUD_INIT` says, and met no error."""
    return said != "" and json.loads(said)["v1"]["errors"] == []


_QUICK = {"ssh_genkeytypes": ["ed25519"]}  # an RSA key takes half a second, and nobody asks for it


class World:
    """One lab under a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lab = Lab(folder, IMAGES)

    @property
    def id(self) -> str:
        return self.lab._router.id

    def create(
        self,
        key: str,
        *,
        number: int,
        config: object = None,
        keys: Sequence[str] = (),
        network6: str | None = None,
    ) -> "Host":
        address = str(self.lab.pool[number])
        self.lab.create(
            HostSpec(
                key=key,
                hostname=f"lab-{key}",
                address=address,
                user_data=f"#cloud-config\n{json.dumps(_QUICK if config is None else config)}\n",
                public_keys=keys,
                instance_id=f"i-{key}",
                network6=network6,
            )
        )
        return Host(self, key, address)

    def boot(self, key: str, **wanted: Any) -> "Host":
        host = self.create(key, **wanted)
        self.lab.start(key)
        host.wait_booted()
        return host

    def close(self) -> None:
        """Leave nothing, not even disks."""
        for machine in self.lab.machines():
            self.lab.destroy(machine.key)
        self.lab.down()

    def traces(self) -> list[str]:
        """Everything on this machine, outside the lab's folder, that belongs to the lab."""
        found = [line for line in Path("/proc/self/mounts").read_text().splitlines() if self._mine(line)]
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                groups = (folder / "cgroup").read_text()
            except OSError:
                continue
            if start_time(int(folder.name)) is None:  # dead, and waits to be reaped
                continue
            if self._mine(groups) or ("supervise" in words and str(self.folder) in words):
                found.append(f"process {folder.name}: {' '.join(words)}")
        places = ("/sys/class/net", "/run/netns", "/sys/fs/cgroup", "/sys/fs/cgroup/systemd")
        for place in map(
            Path, (*places, "/sys/fs/cgroup/unified", "/run", "/run/lock", "/etc/systemd/system")
        ):
            found += [str(path) for path in place.glob("*") if self._mine(path.name)]
        found += [line for line in output("ip", "route").splitlines() if self._mine(line)]
        return found

    def _mine(self, text: str) -> bool:
        return self.id in text or str(self.folder) in text


class Host:
    """A host of a test."""

    def __init__(self, world: World, key: str, address: str) -> None:
        self.world, self.key, self.address = world, key, address

    def run(self, script: str, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
        words = self.world.lab.enter(self.key, ["sh", "-c", script])
        return subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)

    def inside(self, script: str) -> str:
        """Run a script that must succeed."""
        done = self.run(script)
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout.strip()

    def wait_booted(self) -> None:
        wait(lambda: self.run(CLOUD_INIT).returncode == 0, 60)
        said = self.inside(CLOUD_INIT)
        assert booted_well(said), said

    def reaches(self, other: "Host", port: int) -> bool:
        return self.run(f"nc -z -w 1 {other.address} {port}").returncode == 0

    def record(self) -> dict[str, int]:
        """The supervisor, the host's first process, and what is between them."""
        path = self.world.folder / "hosts" / self.key / "running.json"
        record: dict[str, int] = json.loads(path.read_text())
        parent = Path(f"/proc/{record['leader']}/stat")
        nspawn = parent.read_text().rpartition(")")[2].split()[1] if parent.exists() else "0"
        return {"supervisor": record["pid"], "leader": record["leader"], "nspawn": int(nspawn)}

    @property
    def state(self) -> str:
        return self.world.lab.states()[self.key]


def reaches(address: str, port: int) -> bool:
    """Whether this machine can open a connection."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def output(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
