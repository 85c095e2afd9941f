"""Links of several sizes, seen by packets: namespaces in the place of hosts at the lab's own router."""

import os
import sys

import pytest

from tests.lab.hosts.network import Network

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

_ANSWER = """
import socket
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.bind(("", 9999))
print("ready", flush=True)
while True:
    data, sender = asked.recvfrom(9000)
    asked.sendto(b"got", sender)
"""
# Without pieces, and whatever the kernel was told of the path (IP_MTU_DISCOVER, IP_PMTUDISC_PROBE).
_SEND = """
import socket, sys
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.setsockopt(socket.IPPROTO_IP, 10, 3)
asked.settimeout(1)
asked.sendto(b"x" * (int(sys.argv[2]) - 28), (sys.argv[1], 9999))
assert asked.recv(10) == b"got"
"""


def _passes(network: Network, sender: str, receiver: str, size: int) -> bool:
    with network.spaces[receiver].serving(_ANSWER):
        words = (sys.executable, "-S", "-c", _SEND, network.address[receiver], str(size))
        return any(network.spaces[sender].works(*words) for _ in range(2))


def test_a_narrow_link_loses_large_packets_in_both_directions_and_keeps_connections(network: Network) -> None:
    assert _passes(network, "one", "two", 1500)
    network.router.set_link_size(network.link("one"), 1400)
    for sender, receiver in (("one", "two"), ("two", "one")):
        assert _passes(network, sender, receiver, 1400)
        # from a host, the kernel leaves room for a VLAN tag of 4 bytes (is_skb_forwardable)
        assert not _passes(network, sender, receiver, 1405)
    one, two = network.spaces["one"], network.spaces["two"]
    assert one.segment_to(two, network.address["two"]) in (1360, 1348)  # without and with timestamps
    network.router.set_link_size(network.link("one"), 1500)
    assert _passes(network, "two", "one", 1500)
