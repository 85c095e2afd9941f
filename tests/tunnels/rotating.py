"""Nodes with a second interface, as a rotation of keys makes it, and what the agent does in them."""

import base64
import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from nacl.public import PrivateKey

from mesh.host import tunnel
from tests.spaces import Space
from tests.tunnels.world import until

__all__ = ["HERE", "NEXT", "PORTS", "Rotating", "rotating"]

NEXT: Final = tunnel.NEXT.interface
PORTS: Final = {"wg0": 51820, NEXT: 51821}
_ROUTER: Final = "192.0.2.254"
HERE: Final = f"import json, sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
"""What Python code begins with that uses the agent's."""
_ADD_QUEUE: Final = """
from mesh.host.live.clsact import add_queue
assert add_queue("wg0")
"""
_PREPARE: Final = """
from mesh.host.rotation.redirect import prepare_next
prepare_next()
"""
_MOVE: Final = """
from mesh.host.rotation.redirect import reconcile
given = json.load(sys.stdin)
print(reconcile("wg0", given["peers"], frozenset(given["moved"])))
"""
_SEND: Final = """
from mesh.host.rotation.tap import Sender
payload, source, to, identifier, interface = json.load(sys.stdin)
print(Sender().send(bytes.fromhex(payload), source=source, to=to, identifier=identifier, sequence=1,
    interface=interface))
"""
# Ends where nothing is heard for long, so that whoever waits for a message fails.
_LISTEN: Final = """
import select, signal
from mesh.host.rotation.tap import Tap
tap = Tap(["wg0", "wg0-next"], [sys.argv[1]])
print("ready", flush=True)
signal.alarm(20)
while True:
    select.select(tap.filenos(), [], [], 0.1)
    for interface, source, payload in tap.read():
        print(json.dumps([interface, source, payload.hex()]), flush=True)
        signal.alarm(20)
    tap.reopen_if_changed()
"""

# An echo request of 1200 bytes (RFC 792, RFC 4443), from a socket that is bound where a device is given.
_PING: Final = """
import socket, struct, sys
address, device = sys.argv[1:]
family, protocol, kind, answer, header = (
    (socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129, 0) if ":" in address else (socket.AF_INET, 1, 8, 0, 20)
)
with socket.socket(family, socket.SOCK_RAW, protocol) as raw:
    raw.settimeout(2)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    raw.sendto(struct.pack("!BBHHH", kind, 0, ~(kind << 8) & 0xFFFF, 0, 0) + bytes(1192), (address, 0))
    while raw.recv(2000)[header] != answer:
        pass
"""


class Rotating(Space):
    """A node; `allowed` are the AllowedIPs of each peer by name, the same on both interfaces."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.outer, self.inner, self.inner6 = f"192.0.2.{number}", f"10.10.0.{number}", f"fd00::{number}"
        self.keys = {interface: PrivateKey.generate() for interface in PORTS}
        self.allowed: Mapping[str, Sequence[str]] = {}

    def make(self, program: str, interface: str) -> None:
        """Make an interface, with its key, that is not up."""
        self.start(program, "-f", interface)
        until(lambda: self.works("wg", "show", interface))
        port = str(PORTS[interface])
        argv = ("wg", "set", interface, "listen-port", port, "private-key", "/dev/stdin")
        self.run(*argv, stdin=base64.b64encode(bytes(self.keys[interface])).decode())

    def know(self, interface: str, peers: Mapping[str, "Rotating"]) -> None:
        """Give an interface these peers."""
        for name, peer in peers.items():
            key = base64.b64encode(bytes(peer.keys[interface].public_key)).decode()
            self.run(
                *("wg", "set", interface, "peer", key, "endpoint", f"{peer.outer}:{PORTS[interface]}"),
                *("persistent-keepalive", "1", "allowed-ips", ",".join(self.allowed[name])),
            )

    def up(self) -> None:
        """Bring wg0 up, with the addresses and the routes."""
        for address in (f"{self.inner}/24", f"{self.inner6}/64"):
            self.run("ip", "addr", "add", address, "dev", "wg0", *(("nodad",) if ":" in address else ()))
        self.run("ip", "link", "set", "wg0", "mtu", "1420", "up")

    def next_up(self) -> None:
        """Bring the second interface up."""
        self.agent(_PREPARE)
        self.run("ip", "link", "set", NEXT, "mtu", "1420", "up")

    def agent(self, code: str, given: object = None) -> str:
        """Have the agent's code do something here."""
        return self.run(sys.executable, "-S", "-c", HERE + code, stdin=json.dumps(given)).strip()

    def unprivileged(self, code: str, given: object) -> None:
        """Have code run without any right."""
        argv = (
            "setpriv",
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "/usr/bin/python3",
            "-S",
            "-c",
        )
        self.run(*argv, f"import json, sys\n{code}", stdin=json.dumps(given))

    def move(self, *moved: str) -> int:
        """Have the packets of just these peers take the second interface; returns the number of commands."""
        return int(self.agent(_MOVE, {"peers": self.allowed, "moved": moved}))

    def send(self, payload: bytes, to: "Rotating", identifier: int, interface: str | None = None) -> str:
        """Send a message; returns `None`, or why that failed."""
        return self.agent(_SEND, [payload.hex(), self.inner, to.inner, identifier, interface])

    @contextlib.contextmanager
    def tapping(self) -> Iterator[Iterator[tuple[str, str, bytes]]]:
        """Hear messages: interface, source address, payload."""
        with self.serving(HERE + _LISTEN, self.inner) as said:
            lines = (json.loads(line) for line in iter(said.readline, ""))
            yield ((interface, source, bytes.fromhex(payload)) for interface, source, payload in lines)

    def filters(self, place: str = "dev wg0 egress") -> str:
        """Return what tc has at a place."""
        return self.run("tc", "filter", "show", *place.split())

    def bytes_sent(self, interface: str) -> int:
        """Return how many bytes have left by an interface, those of WireGuard's own messages included."""
        lines = self.run("wg", "show", interface, "transfer").splitlines()
        return sum(int(line.split()[2]) for line in lines)

    def hears_from(self, address: str, device: str = "") -> bool:
        """Tell whether there is an answer to an echo request, sent by a socket that is bound to a device."""
        return self.works(sys.executable, "-S", "-c", _PING, address, device)

    def met(self) -> bool:
        """Tell whether each peer of each interface has answered."""
        shown = "".join(self.run("wg", "show", interface, "latest-handshakes") for interface in PORTS)
        return all(line.split()[1] != "0" for line in shown.splitlines())


@contextlib.contextmanager
def rotating(
    program: str, names: Sequence[str], more: Mapping[str, Sequence[str]]
) -> Iterator[dict[str, Rotating]]:
    """Nodes that are all peers on both interfaces; `more` are AllowedIPs beside the address of a node."""
    router = Space()
    nodes = {name: Rotating(number) for number, name in enumerate(names, 1)}
    try:
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        for name, node in nodes.items():
            _connect(router, name, node)
            node.allowed = {
                other: [f"{peer.inner}/32", f"{peer.inner6}/128", *more.get(other, ())]
                for other, peer in nodes.items()
                if other != name
            }
            for interface in PORTS:
                node.make(program, interface)
        for name, node in nodes.items():
            for interface in PORTS:
                node.know(interface, {other: peer for other, peer in nodes.items() if other != name})
            node.agent(_ADD_QUEUE)
            node.up()
            node.next_up()
        until(lambda: all(node.met() for node in nodes.values()))
        yield nodes
    finally:
        for space in (*nodes.values(), router):
            space.end()


def _connect(router: Space, name: str, node: Rotating) -> None:
    link = f"to-{name}"
    router.run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(node.pid))
    router.run("ip", "addr", "add", f"{_ROUTER}/32", "dev", link)
    router.run("ip", "link", "set", link, "up")
    router.run("ip", "route", "add", f"{node.outer}/32", "dev", link)
    node.run("ip", "addr", "add", f"{node.outer}/32", "dev", "eth0")
    node.run("ip", "link", "set", "eth0", "up")
    node.run("ip", "route", "add", "default", "via", _ROUTER, "dev", "eth0", "onlink")
