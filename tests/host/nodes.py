"""Two real hosts, the agent on them, and documents for them, as the program would send them."""

import base64
import json
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from nacl.public import PrivateKey

from lab.hosts import HostSpec, Lab
from lab.testing import wait
from mesh.plan import fingerprint, plan_mesh, preshared_key
from mesh.program.agent import AgentFile, build_agent
from mesh.remote import keys_call
from mesh.render import NOTHING_MOVES, Endpoint, KeyNames, Moving, PeerFacts, render_document
from mesh.settings import parse_settings

AGENT = "/usr/local/lib/wgmesh/wgmesh.pyz"
INCOMING = "/usr/local/lib/wgmesh/incoming.pyz"
ADDRESSES = {"web-1": "10.10.0.1", "web-2": "10.10.0.2", "web-3": "10.10.0.3"}
DEADLINE = 10
"""Seconds until a trial is rolled back on the hosts of these tests."""


@dataclass(frozen=True)
class Run:
    code: int
    out: str

    @property
    def word(self) -> str:
        return self.out.splitlines()[-1].split()[0] if self.out else ""


class Pings:
    """The numbers of the answers that came back."""

    def __init__(self) -> None:
        self.answered: set[int] = set()

    def read(self, lines: Iterable[str]) -> None:
        for line in lines:
            found = re.search(r"icmp_seq=(\d+) ttl=", line)
            if found:
                self.answered.add(int(found[1]))

    def lost(self) -> list[int]:
        """Those that never came, up to the last one that did: what was on its way at the end is no loss."""
        return sorted(set(range(1, max(self.answered, default=0) + 1)) - self.answered)


class Keys:
    """All keys of a small mesh; the same for the whole session, but for those that a test rotates."""

    def __init__(self, names: Iterable[str] = ADDRESSES) -> None:
        self.names = tuple(names)
        self.private = {name: bytes(PrivateKey.generate()) for name in self.names}
        self.root = secrets.token_bytes(32)

    def public(self, name: str) -> str:
        return base64.b64encode(bytes(PrivateKey(self.private[name]).public_key)).decode()

    def bundle(self, name: str) -> str:
        peers = [preshared_key(self.root, name, other, 1) for other in self.names if other != name]
        keys = [base64.b64encode(key).decode() for key in (self.private[name], *peers)]
        return json.dumps({"format": 1, "keys": keys})

    def secrets(self) -> list[str]:
        """Every key of the mesh, as WireGuard writes it."""
        pairs = [(a, b) for a in self.names for b in self.names if a < b]
        raw = [*self.private.values(), *(preshared_key(self.root, a, b, 1) for a, b in pairs)]
        return [base64.b64encode(key).decode() for key in raw]


class Node:
    """A host, reached over SSH by its public address like any server."""

    def __init__(self, hosts: "Hosts", key: str, name: str, address: str) -> None:
        self.hosts, self.key, self.name, self.address = hosts, key, name, address

    def ssh_argv(self, command: str, *options: str) -> list[str]:
        return [
            *("ssh", "-F", "none", "-i", str(self.hosts.folder / "mgmt"), "-o", "BatchMode=yes"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
            *("-o", "ConnectTimeout=4", "-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=3"),
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

    def inside(self, script: str, *, check: bool = True) -> str:
        """Run a script in the host without SSH."""
        argv = self.hosts.lab.enter(self.key, ["sh", "-c", script])
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert not check or done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout.strip()

    def background(self, script: str, *, user: str = "root") -> "subprocess.Popen[str]":
        """Start a Python script in the host, and go on once it says `ready`."""
        argv = ["setpriv", f"--reuid={user}", "--clear-groups", "python3", "-u", "-c", script]
        process = subprocess.Popen(
            self.hosts.lab.enter(self.key, argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the script did not start"
        return process

    @contextmanager
    def pinging(
        self, address: str, interval: float, *, within: Sequence[str] = (), options: Sequence[str] = ()
    ) -> "Iterator[Pings]":
        """Ping all the while; `within` is a command line that runs ping, say in a namespace."""
        argv = [*within, "ping", "-n", "-i", str(interval), *options, address]
        pings = Pings()
        with subprocess.Popen(
            self.hosts.lab.enter(self.key, argv), stdout=subprocess.PIPE, text=True
        ) as running:
            reader = threading.Thread(target=pings.read, args=[running.stdout])
            reader.start()
            try:
                yield pings
            finally:
                self.inside("sleep 0.5; pkill -INT -x ping", check=False)
                reader.join()

    def agent(self, command: str, stdin: str | bytes = "") -> Run:
        return self.ssh(f"exec python3 {AGENT} {command}", stdin)

    def copy(self, agent: AgentFile) -> None:
        """Put an agent's file where the program does."""
        content = Path(agent.path).read_bytes()
        assert self.ssh(f"mkdir -p /usr/local/lib/wgmesh && cat >{INCOMING}", content).code == 0

    def install(self) -> Run:
        """Install the agent alone."""
        self.copy(self.hosts.agent)
        return self.ssh(f"exec python3 {INCOMING} install", self.hosts.agent.sha256)

    def send_keys(self, agent: AgentFile) -> Run:
        """Send the keys as the program does, for this agent."""
        return self.ssh(keys_call(agent.sha256), self.hosts.keys.bundle(self.name))

    def apply(self, document: str, *, dials: int = 12) -> Run:
        """Dial as the program does: again for as long as the agent asks for a new connection."""
        run = Run(0, "")
        for _dial in range(dials):
            run = self.agent("apply", document)
            if run.code not in (75, 255):
                break
            time.sleep(0 if run.code == 75 else 1)
        return run

    def status(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.inside(f"python3 {AGENT} status"))
        return value

    def moment(self, said: str) -> float:
        """When the agent last said this in the journal, in seconds since boot."""
        lines = self.inside("journalctl -q -t wgmesh -o short-monotonic").splitlines()
        return next(float(line.strip("[ ").split("]")[0]) for line in reversed(lines) if said in line)

    def reboot(self, *, graceful: bool = True) -> None:
        self.hosts.lab.stop(self.key, graceful=graceful)
        self.hosts.lab.start(self.key)
        self.wait_for_ssh()

    def wait_for_ssh(self) -> None:
        wait(lambda: self.ssh("systemctl is-system-running --wait >/dev/null; true").code == 0, 60)

    def pending(self) -> bool:
        """Whether a trial is; the agent is not asked, since it would end one that is overdue."""
        return self.inside("test ! -e /run/wgmesh/trial.json || echo yes") == "yes"

    def settle(self) -> None:
        """End what another test left: a failpoint, a trial, an outcome that the next apply would tell."""
        self.inside("rm -f /etc/wgmesh/failpoint")
        self.wait_idle()
        self.inside("rm -f /run/wgmesh/outcome.json")

    def bring(self, document: str) -> None:
        """Have these files in force, whatever another test left."""
        self.settle()
        run = self.apply(document)
        assert run.word in ("CONFIRMED", "UNCHANGED"), run.out

    def wait_idle(self, seconds: float = DEADLINE + 30) -> None:
        wait(lambda: not self.pending(), seconds)

    def live(self) -> str:
        """Everything a trial may change, as text without keys; and everything it may not."""
        return self.inside(
            "wg show wg0 allowed-ips 2>&1 | sort; wg show wg0 listen-port 2>&1;"
            "ip -o -4 address show wg0 2>&1 | cut -d: -f2-; cat /sys/class/net/wg0/mtu 2>&1; ip route;"
            "ip -o -6 address show wg0 scope global 2>&1 | cut -d: -f2-; ip -6 route show dev wg0 2>&1;"
            "nft -s list ruleset; sysctl net.ipv4.ip_forward net.ipv4.conf.all net.ipv4.conf.default;"
            "sysctl net.ipv6.conf.all net.ipv6.conf.default 2>/dev/null;"
            "readlink /var/lib/wgmesh/current; cat /etc/hosts /root/.ssh/authorized_keys;"
            "ls -l --time-style=+ /etc/wireguard /etc/sysctl.d; systemctl is-enabled wg-quick@wg0;"
            "systemctl is-active wg-quick@wg0",
            check=False,
        )


class Hosts:
    """The lab, and what its hosts share."""

    def __init__(self, folder: Path, image: Path, addresses: Mapping[str, str] = ADDRESSES) -> None:
        self.folder, self.addresses = folder, addresses
        self.lab = Lab(folder / "state", image)
        self.keys = Keys(addresses)
        self.agent: AgentFile = build_agent(folder)
        for name, kind in (("mgmt", "ed25519"), ("first", "ecdsa")):
            subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(folder / name)], check=True)

    def address(self, name: str) -> str:
        return str(self.lab.pool.network_address + 10 + list(self.addresses).index(name))

    def boot(self, name: str) -> Node:
        key = f"n{list(self.addresses).index(name)}"
        if key in {machine.key for machine in self.lab.machines() if machine.exists}:
            self.lab.destroy(key)  # another module's
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
        node = Node(self, key, name, self.address(name))
        node.inside("cloud-init status --wait >/dev/null; ssh-keygen -A >/dev/null; systemctl reload ssh")
        wait(lambda: node.ssh("true").code == 0, 60)
        node.inside(
            f"mkdir -p /etc/wgmesh; echo '{{\"deadline_seconds\": {DEADLINE}}}' >/etc/wgmesh/agent.json"
        )
        return node

    def document(
        self,
        name: str,
        members: Sequence[str],
        *,
        moving: Moving = NOTHING_MOVES,
        underlays: Mapping[str, int] | None = None,
        **changes: Any,
    ) -> str:
        """Render a node's document; `changes` go to the node's settings, `mesh_` ones to the mesh's.

        `underlays` are the `underlayMtu` of members.
        """
        mesh = {key[5:]: value for key, value in changes.items() if key.startswith("mesh_")}
        own = {key: value for key, value in changes.items() if not key.startswith("mesh_")}
        nodes: dict[str, dict[str, Any]] = {member: {"address": self.addresses[member]} for member in members}
        nodes[name].update(own)
        for member, size in (underlays or {}).items():
            nodes[member]["underlayMtu"] = size
        defaults = {"location": "fsn1", "type": "cx23", "image": "debian-12"}
        raw = {"cidr": "10.10.0.0/24", "defaults": defaults, "nodes": nodes, **mesh}
        plan = plan_mesh(parse_settings(raw)).nodes[name]
        facts = {
            member: PeerFacts(
                public_key=self.keys.public(member),
                endpoint=Endpoint(address=ip_address(self.address(member)), port=plan.overlay.port),
            )
            for member in members
        }
        names = KeyNames(
            private=fingerprint(self.keys.private[name]), preshared=self._preshared(name, members)
        )
        key = (self.folder / "mgmt.pub").read_text().rsplit(" ", 1)[0]
        return render_document(plan, facts, names, management_key=key, moving=moving)

    def _preshared(self, name: str, members: Sequence[str]) -> Mapping[str, str]:
        root = self.keys.root
        return {m: fingerprint(preshared_key(root, name, m, 1)) for m in members if m != name}
