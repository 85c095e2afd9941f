"""A kernel setting that is written is in effect: tried with ICMP redirects from the next hop."""

import pytest

from tests.host.nodes import Hosts, Node

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-3")
GATEWAY, LIAR = "172.31.1.1", "172.31.1.9"
_LOOK = (
    "cd /proc/sys/net; for f in ipv4/conf/*/accept_redirects ipv4/conf/*/send_redirects"
    " ipv6/conf/*/accept_redirects ipv4/conf/*/rp_filter; do echo $f $(cat $f); done; ls /etc/sysctl.d"
)
# Run on the node: a datagram on its way, so that the redirect is an answer to something. Ends with its input.
_TALK = """
import socket, sys
talk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
talk.bind(("", 40000))
talk.sendto(b"x", ("{to}", 9))
print("ready")
sys.stdin.read()
"""
# Run on the router, the next hop: `for {to}, go by {liar}`.
_REDIRECT = """
import socket, struct
def checksum(data):
    total = sum(struct.unpack(f"!{{len(data) // 2}}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
a = socket.inet_aton
inner = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 29, 1, 0, 64, 17, 0, a("{node}"), a("{to}"))
inner = inner[:10] + struct.pack("!H", checksum(inner)) + inner[12:] + struct.pack("!HHHH", 40000, 9, 9, 0)
icmp = struct.pack("!BBH4s", 5, 1, 0, a("{liar}")) + inner
icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), 0, 0, 64, 1, 0, a("{gateway}"), a("{node}"))
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
raw.sendto(head + icmp, ("{node}", 0))
"""


@pytest.fixture
def guest(hosts: Hosts) -> Node:
    """A fresh host; its next hop's neighbour, to whom a liar would send it, is known to it."""
    return hosts.boot("web-3")


def _way(node: Node, hosts: Hosts) -> str:
    """Have the next hop redirect the node, and return the way it goes then."""
    to = hosts.address("web-1")
    known = f"$(ip neigh show {GATEWAY} dev eth0 | grep -o '..:..:..:..:..:..')"
    node.inside(f"ip route flush cache; ip neigh replace {LIAR} dev eth0 nud permanent lladdr {known}")
    talk = node.background(_TALK.format(to=to))
    script = _REDIRECT.format(node=node.address, to=to, liar=LIAR, gateway=GATEWAY)
    hosts.lab._router.run("python3", "-c", script)
    way = node.inside(f"sleep 0.3; ip route get {to}")
    talk.communicate("", timeout=10)
    return way


def test_a_redirect_is_taken_before_and_never_after(guest: Node, hosts: Hosts) -> None:
    guest.inside("sysctl -qw net.ipv4.conf.eth0.send_redirects=0 net.ipv6.conf.lo.accept_redirects=0")
    guest.inside(
        "ip link add own0 type veth peer name own1; sysctl -qw net.ipv4.conf.own0.accept_redirects=0"
    )
    before = guest.inside(_LOOK)
    assert f"via {LIAR}" in _way(guest, hosts), "else this test shows nothing"
    assert guest.install().word == "INSTALLED"
    assert guest.agent("keys", hosts.keys.bundle("web-3")).word == "STORED"
    assert guest.apply(hosts.document("web-3", PAIR)).word == "CONFIRMED"
    assert f"via {GATEWAY}" in _way(guest, hosts)
    assert guest.inside("cat /proc/sys/net/ipv[46]/conf/*/accept_redirects | sort -u") == "0"
    guest.inside("ip link add later0 type veth peer name later1")
    assert guest.inside("cat /proc/sys/net/ipv[46]/conf/later0/accept_redirects | sort -u") == "0"

    guest.inside("sysctl -qw net.ipv4.conf.eth0.accept_redirects=1 net.ipv6.conf.later0.accept_redirects=1")
    assert {each["item"] for each in guest.status()["differences"]} == {
        "sysctl net.ipv4.conf.eth0.accept_redirects",
        "sysctl net.ipv6.conf.later0.accept_redirects",
    }
    assert guest.apply(hosts.document("web-3", PAIR)).word == "CONFIRMED"
    assert f"via {GATEWAY}" in _way(guest, hosts)

    # What systemd's rule for udev runs when an interface is plugged in; the lab's hosts have no udev.
    guest.inside("sysctl -qw net.ipv4.conf.later0.accept_redirects=1")
    guest.inside("/lib/systemd/systemd-sysctl --prefix=/net/ipv4/conf/later0")
    assert guest.inside("cat /proc/sys/net/ipv4/conf/later0/accept_redirects") == "0"

    guest.inside("ip link add last0 type veth peer name last1")
    assert guest.agent("leave").word == "LEFT"
    assert guest.inside("cat /proc/sys/net/ipv4/conf/last0/accept_redirects") == "1", (
        "what `default` was before"
    )
    guest.inside("ip link del later0; ip link del last0")
    assert guest.inside(_LOOK) == before
    assert f"via {LIAR}" in _way(guest, hosts)


@pytest.mark.long
def test_settings_of_interfaces_come_back_with_a_rollback_and_hold_after_a_reboot(
    guest: Node, hosts: Hosts
) -> None:
    before = guest.inside(_LOOK)
    assert guest.install().word == "INSTALLED"
    assert guest.agent("keys", hosts.keys.bundle("web-3")).word == "STORED"
    document = hosts.document("web-3", PAIR)
    assert guest.agent("apply", document).word == "RECONNECT"
    guest.wait_idle()
    assert guest.inside(_LOOK) == before
    guest.inside("rm -f /run/wgmesh/outcome.json")
    assert guest.apply(document).word == "CONFIRMED"
    guest.inside("sysctl -qw net.ipv4.conf.default.accept_redirects=1")
    guest.reboot()
    assert guest.inside("cat /proc/sys/net/ipv[46]/conf/*/accept_redirects | sort -u") == "0"
    assert f"via {GATEWAY}" in _way(guest, hosts)
