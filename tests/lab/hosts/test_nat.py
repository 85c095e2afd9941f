"""NAT before a host, seen by packets: namespaces in the place of hosts at the lab's own router."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.hosts.nat import Nat
from lab.hosts.router import GATEWAY, Router
from tests.lab.hosts.world import World
from tests.tunnels.world import Space

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


class Network:
    """The lab's router, and two namespaces at its links: one and two."""

    def __init__(self, state: Path) -> None:
        self.router = Router(state)
        self.router.up()
        self.spaces = {"one": Space(), "two": Space()}
        self.address = {name: str(self.router.pool[10 + n]) for n, name in enumerate(self.spaces)}
        self.outside = [str(self.router.pool[250]), str(self.router.pool[251])]
        for name, space in self.spaces.items():
            link, address = self.link(name), self.address[name]
            self.router.run(
                *("ip", "link", "add", link, "type", "veth"),
                *("peer", "name", "eth0", "netns", str(space.pid)),
            )  # fmt: skip
            assert self.router.attach(link, address, None)
            space.run("ip", "addr", "add", f"{address}/32", "dev", "eth0")
            space.run("ip", "link", "set", "eth0", "up")
            space.run("ip", "route", "add", "default", "via", GATEWAY, "dev", "eth0", "onlink")

    def link(self, name: str) -> str:
        return f"{self.router.id}-{name}"

    def nat(self, nat: Nat | None) -> None:
        """Put `one` behind this NAT."""
        nats = {} if nat is None else {self.link("one"): (self.address["one"], nat)}
        self.router.set_nats(lambda: nats)

    def seen(self, sender: str, receiver: str) -> str | None:
        """The address and port from which one sees another, who got an answer; None when nothing arrives."""
        hearing = self.spaces[receiver].start(sys.executable, "-S", "-u", "-c", _HEAR)
        assert hearing.stdout is not None
        assert hearing.stdout.readline() == "ready\n"
        try:
            for _ in range(3):
                said = self.spaces[sender].works(sys.executable, "-S", "-c", _SAY, self.address[receiver])
                if said:
                    return hearing.stdout.readline().strip()
                time.sleep(0.1)
            return None
        finally:
            hearing.kill()
            hearing.wait()

    def end(self) -> None:
        for space in self.spaces.values():
            space.end()
        self.router.down()


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    built = Network(tmp_path / "state")
    try:
        yield built
    finally:
        built.end()


def test_a_host_behind_nat_calls_and_is_not_called(network: Network) -> None:
    assert network.seen("one", "two") is not None
    assert network.seen("two", "one") is not None
    first, second = network.outside
    network.nat(Nat(outside=first))
    assert (network.seen("one", "two") or "").startswith(f"{first}:200")
    assert network.seen("two", "one") is None
    network.nat(Nat(outside=second, first_port=30_000))
    assert (network.seen("one", "two") or "").startswith(f"{second}:300")
    network.nat(None)
    assert (network.seen("one", "two") or "").startswith(f"{network.address['one']}:")
    assert network.seen("two", "one") is not None


def test_this_machine_still_reaches_a_host_behind_nat(network: Network) -> None:
    network.nat(Nat(outside=network.outside[0]))
    hearing = network.spaces["one"].start(sys.executable, "-S", "-u", "-c", _HEAR)
    assert hearing.stdout is not None
    assert hearing.stdout.readline() == "ready\n"
    words = [sys.executable, "-S", "-c", _SAY, network.address["one"]]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == "back\n"
    assert hearing.stdout.readline().startswith(f"{network.router.pool[1]}:")


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
