"""NAT before a host, seen by packets: namespaces in the place of hosts at the lab's own router."""

import os
import subprocess
import sys
import time

import pytest

from lab.hosts.nat import Nat
from tests.lab.hosts.network import Network
from tests.lab.hosts.world import World

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

_HEAR = """
import socket
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.bind(("", 9999))
asked.settimeout(20)
print("ready", flush=True)
data, sender = asked.recvfrom(10)
asked.sendto(b"back", sender)
print("%s:%d" % sender, flush=True)
"""
_SAY = """
import socket, sys
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.settimeout(0.5)
asked.sendto(b"there", (sys.argv[1], 9999))
print(asked.recv(10).decode())
"""


def _put_behind(network: Network, nat: Nat | None) -> None:
    """Put `one` behind this NAT."""
    nats = {} if nat is None else {network.link("one"): (network.address["one"], nat)}
    network.router.set_nats(lambda: nats)


def _seen(network: Network, sender: str, receiver: str) -> str | None:
    """The address and port from which one sees another, who got an answer; None when nothing arrives."""
    with network.spaces[receiver].serving(_HEAR) as said:
        for _ in range(3):
            words = (sys.executable, "-S", "-c", _SAY, network.address[receiver])
            if network.spaces[sender].works(*words):
                return said.readline().strip()
            time.sleep(0.1)
    return None


def test_a_host_behind_nat_calls_and_is_not_called(network: Network) -> None:
    assert _seen(network, "one", "two") is not None
    assert _seen(network, "two", "one") is not None
    first, second = network.outside
    _put_behind(network, Nat(outside=first))
    assert (_seen(network, "one", "two") or "").startswith(f"{first}:200")
    assert _seen(network, "two", "one") is None
    _put_behind(network, Nat(outside=second, first_port=30_000))
    assert (_seen(network, "one", "two") or "").startswith(f"{second}:300")
    _put_behind(network, None)
    assert (_seen(network, "one", "two") or "").startswith(f"{network.address['one']}:")
    assert _seen(network, "two", "one") is not None


def test_this_machine_still_reaches_a_host_behind_nat(network: Network) -> None:
    _put_behind(network, Nat(outside=network.outside[0]))
    with network.spaces["one"].serving(_HEAR) as said:
        words = [sys.executable, "-S", "-c", _SAY, network.address["one"]]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.stdout == "back\n"
        assert said.readline().startswith(f"{network.router.pool[1]}:")


@pytest.mark.hosts
def test_a_host_keeps_its_nat_until_it_is_taken_away(world: World) -> None:
    host, outside = world.create("one", number=10), str(world.lab.pool[250])

    def rules() -> str:
        return world.lab._router.run("nft", "list", "table", "ip", "cloud_nat")

    world.lab.set_nat("one", Nat(outside=outside))
    assert f"ip saddr {host.address}" in rules()
    world.lab.down()
    world.lab.up()
    assert f"snat to {outside}" in rules()
    world.lab.set_nat("one", None)
    assert "snat" not in rules()
