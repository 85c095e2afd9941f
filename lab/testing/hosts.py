"""Hosts without a cloud and an engine: booted in the lab, and reached over SSH like any server."""

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.hosts import HostSpec, Lab
from lab.testing.waiting import wait
from lab.testing.world import Run

__all__ = ["Console", "Host", "Hosts", "Pings"]


# `cloud-init status --wait` would start Python again and again. The host key is what first contact brings.
_FIRST_BOOT = """
until test -e /run/cloud-init/result.json; do sleep 0.1; done
test -e /etc/ssh/ssh_host_ed25519_key || ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
systemctl reload ssh
"""


class Pings:
    """The numbers of the answers that came back."""

    def __init__(self) -> None:
        self.answered: set[int] = set()

    def read(self, lines: Iterable[str]) -> None:
        """Take what ping prints."""
        for line in lines:
            found = re.search(r"icmp_seq=(\d+) ttl=", line)
            if found:
                self.answered.add(int(found[1]))

    def lost(self) -> list[int]:
        """Those that never came, up to the last one that did: what was on its way at the end is no loss."""
        return sorted(set(range(1, max(self.answered, default=0) + 1)) - self.answered)


class Console:
    """A host of a lab, as one sits before it."""

    def __init__(self, lab: Lab, key: str) -> None:
        self.lab, self.key = lab, key

    def inside(self, script: str, *, check: bool = True) -> str:
        """Run a shell script in the host without SSH. Raises `AssertionError`."""
        argv = self.lab.enter(self.key, ["sh", "-c", script])
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert not check or done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout.strip()

    def background(self, script: str, *, user: str = "root") -> "subprocess.Popen[str]":
        """Start a Python script in the host, and go on once it says `ready`. Raises `AssertionError`."""
        argv = ["setpriv", f"--reuid={user}", "--clear-groups", "python3", "-u", "-c", script]
        process = subprocess.Popen(
            self.lab.enter(self.key, argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the script did not start"
        return process


class Host(Console):
    """A host, reached over SSH by its public address like any server."""

    def __init__(self, hosts: "Hosts", key: str, name: str, address: str) -> None:
        super().__init__(hosts.lab, key)
        self.hosts, self.name, self.address = hosts, name, address

    def ssh_argv(self, command: str, *options: str) -> list[str]:
        """Return the command line that runs a command as root."""
        return [
            *("ssh", "-F", "none", "-i", str(self.hosts.folder / "mgmt"), "-o", "BatchMode=yes"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
            *("-o", "ConnectTimeout=4", "-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=3"),
            # what clients and servers of today agree on else takes 80 ms of both
            *("-o", "KexAlgorithms=^curve25519-sha256"),
            *options,
            *(f"root@{self.address}", command),
        ]

    def ssh(
        self, command: str, stdin: str | bytes = "", timeout: float = 90, options: Sequence[str] = ()
    ) -> Run:
        """Run a command over a connection of its own; a refused one is dialled again, as the program does."""
        raw = stdin.encode() if isinstance(stdin, str) else stdin
        run = Run(255, "")
        for _dial in range(10):
            done = subprocess.run(
                self.ssh_argv(command, *options), input=raw, capture_output=True, timeout=timeout, check=False
            )
            run = Run(done.returncode, (done.stdout + done.stderr).decode(errors="replace").strip())
            if not (run.code == 255 and "refused" in run.out):
                break
            time.sleep(0.3)
        return run

    @contextmanager
    def pinging(
        self, address: str, interval: float, *, within: Sequence[str] = (), options: Sequence[str] = ()
    ) -> "Iterator[Pings]":
        """Ping all the while; `within` is a command line that runs ping, say in a namespace."""
        argv = [*within, "ping", "-n", "-i", str(interval), *options, address]
        pings = Pings()
        with subprocess.Popen(self.lab.enter(self.key, argv), stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            reader = threading.Thread(target=pings.read, args=[running.stdout])
            reader.start()
            try:
                yield pings
            finally:
                self.inside("sleep 0.5; pkill -INT -x ping", check=False)
                reader.join()

    def reboot(self, *, graceful: bool = True) -> None:
        """Start it anew; without `graceful`, as after a power cut."""
        self.lab.stop(self.key, graceful=graceful)
        self.lab.start(self.key)
        self.wait_for_ssh()

    def wait_for_ssh(self) -> None:
        """Wait until it has booted. Raises `AssertionError`."""
        wait(lambda: self.ssh("systemctl is-system-running --wait >/dev/null; true").code == 0, 60)


class Hosts:
    """A lab, and what its hosts share: `addresses` has their names, `folder` the keys of SSH and all else."""

    def __init__(self, folder: Path, image: Path, addresses: Mapping[str, str]) -> None:
        self.folder, self.addresses = folder, addresses
        self.lab = Lab(folder / ".lab" / "cloud", image)
        for name, kind in (("mgmt", "ed25519"), ("first", "ecdsa")):
            subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(folder / name)], check=True)

    def end(self) -> None:
        """Have nothing left of the hosts and their network."""
        for machine in self.lab.machines():
            self.lab.destroy(machine.key)
        self.lab.down()

    def address(self, name: str) -> str:
        """Return the public address of a host."""
        return str(self.lab.pool.network_address + 10 + list(self.addresses).index(name))

    def _key(self, name: str) -> str:
        return f"n{list(self.addresses).index(name)}"

    def take_away(self, name: str) -> None:
        """Have no host of this name."""
        self.lab.destroy(self._key(name))

    def boot(self, name: str) -> Host:
        """Make a host, a new one where there was one of this name, and wait for its sshd."""
        self.take_away(name)
        key = self._key(name)
        private, public = ((self.folder / file).read_text() for file in ("first", "first.pub"))
        config = {
            "hostname": name,
            "ssh_deletekeys": True,
            "ssh_keys": {"ecdsa_private": private, "ecdsa_public": public},
            "ssh_pwauth": False,
            "disable_root": False,
        }
        self.lab.create(
            HostSpec(
                key=key,
                hostname=name,
                address=self.address(name),
                user_data=f"#cloud-config\n{json.dumps(config)}\n",
                public_keys=[(self.folder / "mgmt.pub").read_text()],
                instance_id=f"i-{key}",
            )
        )
        self.lab.start(key)
        host = Host(self, key, name, self.address(name))
        host.inside(_FIRST_BOOT)
        wait(lambda: host.ssh("true").code == 0, 60)
        return host
