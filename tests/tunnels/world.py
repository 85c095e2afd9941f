"""Nodes of a planned mesh as namespaces: WireGuard in userspace, the rendered files of each node, a NAT.

Much quicker than hosts: what the agent does with the files is played here, and no program runs on a node.
"""

import base64
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any, Final

from nacl.public import PrivateKey

from mesh.host.files.document import FIREWALL, SYSCTL, Document, parse_document
from mesh.host.files.wgconf import complete
from mesh.host.live.device import Device, parse_dump
from mesh.outputs import CalledOutputs, ClientOutputs
from mesh.plan import MeshPlan, NodePlan, fingerprint, preshared_key
from mesh.render import NOTHING_MOVES, Endpoint, KeyNames, Moving, PeerFacts, render_document
from tests.spaces import Space
from tests.unit.meshes import MANAGEMENT, plan_of

__all__ = ["OUTSIDE", "Node", "World", "until", "world"]

_ROOT: Final = b"r" * 32
_GATEWAY: Final = "192.0.2.254"
OUTSIDE: Final = {"first": "198.51.100.1", "second": "198.51.100.2"}
"""Addresses that a NAT shows to the world."""
_CONF: Final = "/etc/wireguard/wg0.conf"
_OF_WG_QUICK: Final = ("Address", "MTU")
# As in tests/firewall/world.py: deletes the table of connections.
_FORGET: Final = """
import socket, struct
asked = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
asked.send(struct.pack("=IHHIIBBH", 20, 0x102, 5, 1, 0, 0, 0, 0))
assert struct.unpack_from("=i", asked.recv(4096), 16) == (0,)
"""


# An echo request (RFC 792) and its answer, as not every machine has ping; the kernel leaves the sum to us.
_PING: Final = """
import os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
    raw.settimeout(2)
    number = os.getpid() & 0xFFFF
    total = 0x0800 + number + 1
    total = (total & 0xFFFF) + (total >> 16)
    raw.sendto(struct.pack("!BBHHH", 8, 0, ~total & 0xFFFF, number, 1), (sys.argv[1], 0))
    while True:
        answer = raw.recv(2000)
        if answer[20] == 0 and struct.unpack_from("!H", answer, 24) == (number,):
            break
"""


# What the agent does with the interface, and no more of a trial; what it keeps is below the folder given.
_BRING: Final = """
import json, sys
from pathlib import Path
from mesh.host.files.document import parse_document
from mesh.host.files.generation import commit, stage
from mesh.host.files.keystore import store_keys
from mesh.host.places import Places
from mesh.host.rotation.stored import bring
from mesh.host.tunnel import WG0
places, (text, keys) = Places(Path(sys.argv[1])), json.load(sys.stdin)
document = parse_document(text.encode())
places.generations.mkdir(parents=True, exist_ok=True)
store_keys(places.keys, keys)
generation = stage(places, document)
print(bring(places, WG0, generation))
commit(places, generation.digest)
"""


class Node(Space):
    """A node with the files that the program renders for it."""

    def __init__(self, plan: NodePlan, outer: str, private: bytes) -> None:
        super().__init__()
        self.plan, self.outer, self.private = plan, outer, private
        self.document: Document
        self.keys: Mapping[str, str] = {}

    @property
    def inner(self) -> str:
        return str(self.plan.overlay.first.ip)

    def tunnel(self, program: str) -> None:
        """Make the interface."""
        with tempfile.TemporaryFile("w+") as errors:
            process = self.start(program, "-f", "wg0", errors=errors)
            try:
                until(lambda: process.poll() is not None or self.works("wg", "show", "wg0"))
                assert process.poll() is None
            except AssertionError:
                errors.seek(0)
                raise AssertionError(f"{program}: exit code {process.poll()}: {errors.read()}") from None
        self.run("ip", "addr", "add", str(self.plan.overlay.first), "dev", "wg0")
        self.run("ip", "link", "set", "wg0", "mtu", str(self.plan.overlay.mtu), "up")

    def apply(self, text: str, keys: Mapping[str, str]) -> None:
        """Do with the files what the agent does."""
        self.document = parse_document(text.encode())
        lines = complete(self.document.files[_CONF], keys).splitlines()
        conf = "\n".join(line for line in lines if not line.startswith(_OF_WG_QUICK))
        self.run("wg", "setconf", "wg0", "/dev/stdin", stdin=f"{conf}\n")
        self.load(text)

    def load(self, text: str) -> None:
        """Do with the firewall and the kernel settings what the agent does."""
        self.document = parse_document(text.encode())
        self.run("nft", "-f", "-", stdin=self.document.files[FIREWALL])
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            forward = f"{key} = 1" in self.document.files[SYSCTL]
            self.run("sysctl", "-qw", f"{key}={int(forward)}")

    def bring(self, folder: Path, text: str, keys: Mapping[str, str]) -> int:
        """Have the agent bring the interface to these files; returns how many commands that took."""
        argv = ("env", f"PYTHONPATH={Path(__file__).parents[2]}", sys.executable, "-c", _BRING, str(folder))
        return int(self.run(*argv, stdin=json.dumps([text, dict(keys)])))

    def device(self) -> Device:
        return parse_dump(self.run("wg", "show", "wg0", "dump"))

    def pings(self, other: "Node", *, outer: bool = False) -> bool:
        address = other.outer if outer else other.inner
        return self.works(sys.executable, "-S", "-c", _PING, address)

    def connects(self, other: "Node", port: int) -> str | None:
        """Return the address from which the other one sees this node; None without a connection."""
        return self.seen_as(other.inner, port)

    def lan(self, own: str, host: str) -> Space:
        """Return a host in a network behind this node; `own` is the node's address there, with the prefix."""
        space = Space()
        self.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", str(space.pid))
        self.run("ip", "link", "set", "lan0", "up")
        space.run("ip", "link", "set", "eth0", "up")
        self.in_lan(space, own, host)
        return space

    def in_lan(self, space: Space, own: str, host: str) -> None:
        """Give the node and the host in the network behind it these addresses."""
        at_once = ("nodad",) if ":" in own else ()
        self.run("ip", "addr", "add", own, "dev", "lan0", *at_once)
        space.run("ip", "addr", "add", host, "dev", "eth0", *at_once)
        gateway = own.partition("/")[0]
        space.run("ip", f"-{ip_address(gateway).version}", "route", "add", "default", "via", gateway)


class World:
    """The nodes by name, and the router between them; nodes with `endpoint: none` are behind a NAT there."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.plan: MeshPlan = plan_of(raw)
        self.moving = NOTHING_MOVES
        self.router = Space()
        self._behind = [name for name, node in raw["nodes"].items() if node.get("endpoint") == "none"]
        self.nodes = {
            name: Node(node, f"192.0.2.{number}", bytes(PrivateKey.generate()))
            for number, (name, node) in enumerate(self.plan.nodes.items(), 1)
        }
        self.devices = {name: bytes(PrivateKey.generate()) for name in self.plan.clients}
        self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        for name, node in self.nodes.items():
            self._connect(name, node)
        self.nat(OUTSIDE["first"], first_port=20_000)

    def _connect(self, name: str, node: Node) -> None:
        self.connect(name, node, node.outer)

    def connect(self, name: str, node: Space, outer: str) -> None:
        """Give a namespace this address at the router."""
        link = f"to-{name}"
        self.router.run(
            *("ip", "link", "add", link, "type", "veth"),
            *("peer", "name", "eth0", "netns", str(node.pid)),
        )  # fmt: skip
        self.router.run("ip", "addr", "add", f"{_GATEWAY}/32", "dev", link)
        self.router.run("ip", "link", "set", link, "up")
        self.router.run("ip", "route", "add", f"{outer}/32", "dev", link)
        node.run("ip", "addr", "add", f"{outer}/32", "dev", "eth0")
        node.run("ip", "link", "set", "eth0", "up")
        node.run("ip", "route", "add", "default", "via", _GATEWAY, "dev", "eth0", "onlink")

    def nat(self, outside: str, *, first_port: int) -> None:
        """Show all nodes behind NAT as one address, on other ports; mappings of before are gone."""
        if not self._behind:
            return
        ports = f"{first_port}-{first_port + 99}"
        behind = ", ".join(self.nodes[name].outer for name in self._behind)
        links = ", ".join(f'"to-{name}"' for name in self._behind)
        self.router.run("nft", "-f", "-", stdin=f"""
            table ip nat
            delete table ip nat
            table ip nat {{
                chain out {{
                    type nat hook postrouting priority srcnat;
                    ip saddr {{ {behind} }} meta l4proto {{ tcp, udp }} snat to {outside}:{ports}
                    ip saddr {{ {behind} }} snat to {outside}
                }}
                chain in {{
                    type filter hook forward priority filter;
                    oifname {{ {links} }} ct state new drop
                }}
            }}""")  # fmt: skip
        self.router.run(sys.executable, "-S", "-c", _FORGET)

    def replan(self, raw: Mapping[str, Any]) -> None:
        """Have another plan for the same nodes."""
        self.follow(plan_of(raw))

    def follow(self, plan: MeshPlan, moving: Moving = NOTHING_MOVES) -> None:
        """Have this plan for the same nodes, and this beside what it says."""
        self.plan, self.moving = plan, moving
        for name, node in self.nodes.items():
            node.plan = self.plan.nodes[name]

    def apply(self) -> None:
        """Bring every node the files of the plan."""
        for name, (text, keys) in self.documents().items():
            self.nodes[name].apply(text, keys)

    def forget(self) -> None:
        """Have every node forget the connections that are open."""
        for node in self.nodes.values():
            node.run(sys.executable, "-S", "-c", _FORGET)

    def documents(self) -> dict[str, tuple[str, dict[str, str]]]:
        """Return the files of the plan for each node, and the keys by their fingerprints."""
        return {name: self.files(node.plan) for name, node in self.nodes.items()}

    def files(self, plan: NodePlan) -> tuple[str, dict[str, str]]:
        """Return the files of a node that is planned like this, and its keys by their fingerprints."""
        facts = {
            name: PeerFacts(
                public_key=_text(bytes(PrivateKey(node.private).public_key)),
                endpoint=Endpoint(address=IPv4Address(node.outer), port=node.plan.overlay.port),
            )
            for name, node in self.nodes.items()
        }
        for name, key in self.devices.items():
            facts[name] = PeerFacts(public_key=_text(bytes(PrivateKey(key).public_key)), endpoint=None)
        private = self.nodes[plan.name].private
        preshared = {
            peer.name: preshared_key(_ROOT, plan.oldest_name, peer.oldest_name, 1) for peer in plan.peers
        }
        names = KeyNames(
            private=fingerprint(private),
            preshared={peer: fingerprint(key) for peer, key in preshared.items()},
        )
        text = render_document(plan, facts, names, management_key=MANAGEMENT, moving=self.moving)
        return text, {fingerprint(key): _text(key) for key in (private, *preshared.values())}

    def client(self, name: str) -> ClientOutputs:
        """Return what the stack's outputs have of a client."""
        plan, private = self.plan.clients[name], self.devices[name]
        return ClientOutputs(
            name=name,
            address=", ".join(map(str, plan.addresses)),
            enabled=plan.enabled,
            mtu=plan.mtu,
            public_key=_text(bytes(PrivateKey(private).public_key)),
            private_key=_text(private),
            peers=[
                CalledOutputs(
                    name=peer.name,
                    public_key=_text(bytes(PrivateKey(self.nodes[peer.name].private).public_key)),
                    preshared_key=_text(preshared_key(_ROOT, plan.oldest_name, peer.oldest_name, 1)),
                    endpoint=f"{self.nodes[peer.name].outer}:{self.nodes[peer.name].plan.overlay.port}",
                    allowed_ips=", ".join(map(str, peer.allowed_ips)),
                    keepalive=peer.keepalive,
                )
                for peer in plan.peers
            ],
        )

    def end(self) -> None:
        for space in (*self.nodes.values(), self.router):
            space.end()


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def until(done: Callable[[], bool]) -> None:
    """Wait for something that comes soon."""
    for _ in range(600):
        if done():
            return
        time.sleep(0.05)
    raise AssertionError("did not come")


@contextlib.contextmanager
def world(raw: Mapping[str, Any], program: str) -> Iterator[World]:
    """The whole mesh, up."""
    built = World(raw)
    try:
        for node in built.nodes.values():
            node.tunnel(program)
        built.apply()
        yield built
    finally:
        built.end()
