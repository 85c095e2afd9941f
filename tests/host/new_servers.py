"""Servers that no program has met: made as a cloud makes them, with any files of an owner's image."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from lab.hosts import HostSpec
from lab.hosts.machine import Machine
from lab.testing import wait
from mesh.names import RECONNECT_STATUS
from mesh.program.keys import first_contact_key, ssh_public_line
from mesh.program.machines.cloud_init import user_data
from mesh.remote import agent_call, keys_call, secret_input
from tests.host.nodes import INCOMING, Hosts, Run

__all__ = ["Boot", "Server", "Servers"]


@dataclass(frozen=True, kw_only=True)
class Server:
    """A new server, met as the program meets it: pinned to the key of the user data, then to its own.

    `permanent` names its own.
    """

    hosts: Hosts
    key: str
    address: str
    port: int = 22
    permanent: str = "permanent"

    def ssh(self, command: str, stdin: bytes = b"", *, pin: str = "offered", timeout: float = 400) -> Run:
        known = self.hosts.folder / f"known-{self.key}"
        public = (self.hosts.folder / f"{pin}.pub").read_text()
        name = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
        known.write_text(f"{name} {public}")
        done = subprocess.run(
            [
                *("ssh", "-F", "none", "-i", str(self.hosts.folder / "mgmt"), "-p", str(self.port)),
                *("-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}", "-o", "ConnectTimeout=5"),
                *("-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=none"),
                *("-o", f"HostKeyAlgorithms={public.split()[0]}", f"root@{self.address}", command),
            ],
            input=stdin, capture_output=True, timeout=timeout, check=False,
        )  # fmt: skip
        return Run(done.returncode, (done.stdout + done.stderr).decode(errors="replace").strip())

    def inside(self, script: str, *, check: bool = True) -> str:
        argv = self.hosts.lab.enter(self.key, ["sh", "-c", script])
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        assert not check or done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout.strip()

    def copy(self) -> None:
        """Copy the agent's file."""
        content = base64.b64encode(Path(self.hosts.agent.path).read_bytes())
        assert self.ssh(f"mkdir -p {Path(INCOMING).parent} && base64 -d >{INCOMING}", content).code == 0

    def send_keys(self, **more: str) -> Run:
        """Have the copied agent store keys: first contact comes before."""
        bundle = json.loads(self.hosts.keys.bundle("web-1"))
        bundle["host_key"] = (self.hosts.folder / self.permanent).read_text()
        return self.ssh(keys_call(self.hosts.agent.sha256), secret_input({**bundle, **more}).encode())

    def meet(self) -> Run:
        """Do the first two steps of a new node."""
        self.copy()
        return self.send_keys()

    def apply(self) -> Run:
        """Send the first files, as often as the agent asks for that."""
        document = self.hosts.document("web-1", ["web-1"], mesh_ssh={"port": self.port}).encode()
        for _dial in range(12):
            done = self.ssh(agent_call("apply"), document, pin=self.permanent)
            if done.code != RECONNECT_STATUS:
                break
        return done

    def becomes_a_node(self) -> None:
        """Go through first contact twice, and take the throw-away key away."""
        for _time in range(2):  # half done is done again
            done = self.meet()
            assert done.word == "STORED", done.out
        again = self.ssh("echo it works", pin=self.permanent)
        assert again.out == "it works", again.out
        assert self.ssh("true").code == 0, "what has to be done again comes over the key of the user data"
        done = self.apply()
        assert done.word == "CONFIRMED", done.out
        assert self.ssh("true").code == 255, "the key of the user data is still offered"

    def rescue_ports(self) -> str:
        return self.inside(
            "sed -n 's/.*tcp dport { \\(.*\\) } accept/\\1/p' /usr/local/lib/wgmesh/rescue.nft"
        )


Boot = Callable[..., Server]


class Servers:
    """Boots servers among some hosts, each with the same throw-away host key."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._numbers = count()
        for name, kind in (("permanent", "ed25519"), ("another", "ecdsa")):
            words = ["-t", kind, *(["-b", "384"] if kind == "ecdsa" else [])]
            subprocess.run(["ssh-keygen", "-q", *words, "-N", "", "-f", str(hosts.folder / name)], check=True)
        self._first = first_contact_key()
        (hosts.folder / "offered.pub").write_text(f"{ssh_public_line(self._first)}\n")

    @contextmanager
    def lent(self) -> Iterator[Boot]:
        """Return what boots a server, from an image that may have other files; all go at the end."""
        made: list[str] = []

        def boot(
            files: Mapping[str, str] | None = None,
            *,
            links: Mapping[str, str] | None = None,
            image: str = "debian-12",
            port: int = 22,
            ssh_port: int = 22,
        ) -> Server:
            number = next(self._numbers)
            key, address = f"fc{number}", str(self._hosts.lab.pool.network_address + 100 + number)
            made.append(key)
            self._create(key, address, image, ssh_port)
            disk = Machine(self._hosts.folder / ".lab/cloud/hosts", key).disk
            for name, text in (files or {}).items():
                (disk / name).parent.mkdir(parents=True, exist_ok=True)
                (disk / name).write_text(text)
            for name, target in (links or {}).items():
                (disk / name).parent.mkdir(parents=True, exist_ok=True)
                (disk / name).symlink_to(target)
            self._hosts.lab.start(key)
            server = Server(hosts=self._hosts, key=key, address=address, port=port)
            server.inside("cloud-init status --wait >/dev/null", check=False)
            wait(lambda: server.ssh("true").code == 0, 60)
            return server

        try:
            yield boot
        finally:
            for key in made:
                self._hosts.lab.destroy(key)

    def _create(self, key: str, address: str, image: str, ssh_port: int) -> None:
        self._hosts.lab.create(
            HostSpec(
                key=key, hostname=key, address=address, instance_id=f"i-{key}", image=image,
                user_data=user_data(key, self._first, ssh_public_line(self._first), ssh_port=ssh_port),
                public_keys=[(self._hosts.folder / "mgmt.pub").read_text()],
            )
        )  # fmt: skip
