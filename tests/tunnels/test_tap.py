"""Messages of nodes that rotate keys, through real tunnels and firewalls. Needs root, for namespaces."""

import socket
import struct
from collections.abc import Iterator
from typing import Final

import pytest

from mesh.host.rotation.messages import MAGIC, PROBE, ROUTE
from mesh.host.rotation.tap import echo_request
from tests.tunnels.agent import NEEDS_TUNNELS, PROGRAM
from tests.tunnels.rotating import HERE, NEXT, Rotating, rotating

pytestmark = NEEDS_TUNNELS

MESSAGE: Final = MAGIC + bytes(range(28))
# No ICMP at all, nothing from the mesh, and WireGuard's own ports; rp_filter is set beside it.
FIREWALL: Final = """
table netdev first {
    chain in {
        type filter hook ingress devices = { wg0, wg0-next } priority 0
        meta l4proto icmp drop
    }
}
table inet strict {
    chain early {
        type filter hook prerouting priority raw
        meta l4proto icmp drop
    }
    chain in {
        type filter hook input priority 0; policy drop
        iifname eth0 udp dport { 51820, 51821 } accept
    }
}
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[dict[str, Rotating]]:
    with rotating(PROGRAM, ("web", "db"), {"db": ["10.77.0.0/16"]}) as made:
        made["db"].run("nft", "-f", "-", stdin=FIREWALL)
        for each in ("all", "wg0", NEXT):
            made["db"].run("sysctl", "-qw", f"net.ipv4.conf.{each}.rp_filter=1")
        yield made


def test_a_message_is_heard_on_the_interface_on_which_it_arrives(nodes: dict[str, Rotating]) -> None:
    web, db = nodes["web"], nodes["db"]
    assert not web.hears_from(db.inner), "the firewall stops other echo requests"
    with db.tapping() as heard:
        assert web.send(MESSAGE, db, ROUTE) == "None"
        assert next(heard) == ("wg0", web.inner, MESSAGE)
        web.move("db")
        web.send(MESSAGE, db, ROUTE)
        assert next(heard) == (NEXT, web.inner, MESSAGE)
        web.send(MESSAGE, db, PROBE, "wg0")
        assert next(heard) == ("wg0", web.inner, MESSAGE), "a probe tries the way that nobody takes now"
        web.send(MESSAGE, db, PROBE, NEXT)
        assert next(heard) == (NEXT, web.inner, MESSAGE)
        web.move()
        web.send(MESSAGE, db, ROUTE)
        assert next(heard) == ("wg0", web.inner, MESSAGE)


# A packet that leaves by wg0 although it is for this node.
_LEAVE: Final = """
import socket
with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as here:
    here.sendto(bytes.fromhex(json.load(sys.stdin)), ("wg0", 0x0800))
"""


def test_what_a_node_sends_itself_it_does_not_hear(nodes: dict[str, Rotating]) -> None:
    web, db = nodes["web"], nodes["db"]
    with web.tapping() as heard:
        web.send(MESSAGE, db, ROUTE)
        web.agent(_LEAVE, _packet(db.inner, web.inner).hex())
        db.send(MAGIC + b"the other's", web, ROUTE)
        assert next(heard) == ("wg0", db.inner, MAGIC + b"the other's")


# As `ping` sends, which needs no right (icmp(7): ping_group_range).
_FORGE: Final = """
import socket, struct
source, to, payload = json.load(sys.stdin)
here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
here.bind((source, 0x5767))
here.sendto(struct.pack("!BBHHH", 8, 0, 0, 0x5767, 1) + bytes.fromhex(payload), (to, 0))
"""


def test_whoever_may_ping_can_send_what_looks_like_a_message(nodes: dict[str, Rotating]) -> None:
    """So that a reader must not believe anything without its MAC."""
    web, db = nodes["web"], nodes["db"]
    web.run("sysctl", "-qw", "net.ipv4.ping_group_range=0 65534")
    forged = MAGIC + b"believe me"
    with db.tapping() as heard:
        web.unprivileged(_FORGE, [web.inner, db.inner, forged.hex()])
        assert next(heard) == ("wg0", web.inner, forged)


# Whole IPv4 packets, which the kernel takes as they are (raw(7)).
_RAW: Final = """
import socket
to, packets = json.load(sys.stdin)
here = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for packet in packets:
    here.sendto(bytes.fromhex(packet), (to, 0))
"""


def test_what_is_no_whole_message_to_this_node_is_not_heard(nodes: dict[str, Rotating]) -> None:
    web, db = nodes["web"], nodes["db"]
    whole = _packet(web.inner, db.inner)
    others = [
        *(_cut(whole, length) for length in range(20, 36)),
        _packet(web.inner, db.inner, options=b"\1\1\1\0"),
        _with(whole, 6, b"\x20\x00"),  # fragments
        _with(whole, 6, b"\x00\x08"),
        _with(whole, 9, b"\x11"),
        _with(whole, 20, b"\0"),
        _with(whole, 24, b"\x57\x66"),
        _with(whole, 28, b"wgmeshR2"),
        _packet(web.inner, "10.77.0.1"),  # on its way to a network behind the node
    ]
    with db.tapping() as heard:
        web.agent(_RAW, [db.inner, [each.hex() for each in others]])
        web.agent(_RAW, [db.inner, [whole.hex()]])
        assert next(heard) == ("wg0", web.inner, MESSAGE)
        web.send(MAGIC, db, ROUTE)
        assert next(heard) == ("wg0", web.inner, MAGIC)


def _packet(source: str, to: str, *, options: bytes = b"") -> bytes:
    """A message in an IPv4 packet (RFC 791); the kernel fills its sum in."""
    icmp = echo_request(ROUTE, 1, MESSAGE)
    words = 5 + len(options) // 4
    header = struct.pack("!BBHHHBBH", 0x40 + words, 0, 4 * words + len(icmp), 1, 0, 64, 1, 0)
    return header + socket.inet_aton(source) + socket.inet_aton(to) + options + icmp


def _cut(raw: bytes, length: int) -> bytes:
    """Cut a packet off before all that a message begins with has come."""
    return _with(raw[:length], 2, length.to_bytes(2, "big"))


def _with(raw: bytes, place: int, value: bytes) -> bytes:
    return raw[:place] + value + raw[place + len(value) :]


_CHATTER: Final = """
import time
from mesh.host.rotation.tap import Sender
sender, (payload, source, to) = Sender(), sys.argv[1:]
way = {"source": source, "to": to, "identifier": 0x5768, "interface": "wg0-next"}
print("ready", flush=True)
while True:
    sender.send(bytes.fromhex(payload), sequence=1, **way)
    time.sleep(0.05)
"""


def test_both_ends_go_on_with_an_interface_that_is_made_anew(nodes: dict[str, Rotating]) -> None:
    web, db = nodes["web"], nodes["db"]
    with web.serving(HERE + _CHATTER, MESSAGE.hex(), web.inner, db.inner), db.tapping() as heard:
        assert next(heard) == (NEXT, web.inner, MESSAGE)
        for node, other in ((web, "db"), (db, "web")):
            node.run("ip", "link", "delete", NEXT)
            with db.tapping() as later:
                node.make(PROGRAM, NEXT)
                node.know(NEXT, {other: nodes[other]})
                node.next_up()
                assert next(later) == (NEXT, web.inner, MESSAGE)


def test_the_reason_why_a_message_is_not_sent_is_told(nodes: dict[str, Rotating]) -> None:
    web, db = nodes["web"], nodes["db"]
    assert web.send(MESSAGE, db, PROBE, "no-such-wg") == "No such device"
    web.run(
        "nft",
        "-f",
        "-",
        stdin="table ip deaf { chain out { type filter hook output priority 0; meta l4proto icmp drop; }; }",
    )
    try:
        assert web.send(MESSAGE, db, ROUTE) == "Operation not permitted"
    finally:
        web.run("nft", "delete", "table", "ip", "deaf")
