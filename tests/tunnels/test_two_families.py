"""IPv6 beside IPv4 through real tunnels: added, under a policy, taken away; no packet is lost."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tunnels.world import World, until, wireguard_go, world
from tests.unit.meshes import plan_of

ROOT = Path(__file__).parents[2]
PROGRAM = wireguard_go()
PING = shutil.which("ping") or next(map(str, sorted(ROOT.glob(".lab/image/*/usr/bin/ping"))), None)
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or PROGRAM is None or PING is None,
    reason="needs root, wireguard-go and ping (`make image`)",
)

IN_IPV4: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "nodes": {name: {"address": f"10.10.0.{number}"} for number, name in ((1, "web"), (2, "app"), (3, "db"))},
}
IN_BOTH = {**IN_IPV4, "cidr6": "fd00:10::/64"}
LIMITED = {**IN_BOTH, "policy": [{"from": ["web"], "to": ["db"], "allow": ["tcp/80"]}]}
FOUR, SIX = ("10.10.0.1", "10.10.0.2", "10.10.0.3"), ("fd00:10::1", "fd00:10::2", "fd00:10::3")
# What the agent refuses and does with the interface.
_AGENT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from mesh.host.files.wgconf import parse_wg_file
from mesh.host.live.device import wanted_device, wanted_link, with_keys
from mesh.host.live.interface import converge, interface_differences
from mesh.host.live.ipv6 import require_ipv6
from mesh.host.live.overlap import refuse_overlap
from mesh.host.live.ways import way_differences
from mesh.host.places import Places
from mesh.host.tunnel import WG0
given = json.load(sys.stdin)
file = parse_wg_file(given["file"], where="wg0.conf")
require_ipv6(Places(), WG0, file)
refuse_overlap(Places(), WG0, file)
device = with_keys(wanted_device(file), given["keys"])
converge(WG0, device, wanted_link(file))
found = interface_differences(WG0, device, wanted_link(file)) + way_differences(WG0, file)
assert found == [], [str(each) for each in found]
"""
_KNOCK = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1)
except ConnectionRefusedError:
    pass
"""


def _bring(place: World, raw: dict[str, Any]) -> None:
    """Have the files of this mesh in force, node by node, by the commands of the agent."""
    plan = plan_of(raw)
    for name, node in place.nodes.items():
        node.plan = plan.nodes[name]
    for name, (text, keys) in place.documents().items():
        node = place.nodes[name]
        node.load(text)
        said = json.dumps({"file": node.document.files["/etc/wireguard/wg0.conf"], "keys": keys})
        node.run(sys.executable, "-c", _AGENT, str(ROOT), stdin=said)


@pytest.fixture(scope="module")
def built() -> Iterator[World]:
    assert PROGRAM is not None
    with world(IN_IPV4, PROGRAM) as built:
        yield built


@pytest.fixture
def place(built: World) -> World:
    _bring(built, IN_IPV4)
    until(lambda: built.nodes["web"].pings(built.nodes["app"]))
    return built


def _reached(place: World, name: str) -> list[str]:
    words = (str(PING), "-n", "-c", "1", "-W", "2")
    return [to for to in (*FOUR, *SIX) if place.nodes[name].works(*words, to)]


def _lost_while(place: World, address: str, raw: dict[str, Any]) -> int:
    """Change the mesh while `web` pings an address; returns how many answers are missing."""
    argv = place.nodes["web"].argv(str(PING), "-n", "-i", "0.01", "-I", "wg0", address)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as pings:
        time.sleep(0.5)
        _bring(place, raw)
        time.sleep(0.5)
        pings.send_signal(signal.SIGINT)
        printed = pings.communicate()[0]
    answered = {int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", printed)}
    assert len(answered) > 50
    return max(answered) - len(answered)


def test_adding_and_taking_away_ipv6_loses_no_packet_of_ipv4(place: World) -> None:
    assert _lost_while(place, FOUR[1], IN_BOTH) == 0
    for name in place.nodes:
        assert _reached(place, name) == [*FOUR, *SIX]
    assert _lost_while(place, FOUR[1], IN_IPV4) == 0
    assert _reached(place, "web") == list(FOUR)
    web = place.nodes["web"]
    assert web.run("ip", "-o", "-6", "address", "show", "wg0", "scope", "global") == ""
    assert "fd00" not in web.run("wg", "show", "wg0", "allowed-ips")


def test_a_policy_that_comes_holds_in_both_families_and_loses_nothing(place: World) -> None:
    _bring(place, IN_BOTH)
    assert _lost_while(place, SIX[1], LIMITED) == 0
    ways = [(name, to, port) for name in ("web", "app") for to in (FOUR[2], SIX[2]) for port in (80, 81)]
    opened = [
        (name, to, port)
        for name, to, port in ways
        if place.nodes[name].works(sys.executable, "-S", "-c", _KNOCK, to, str(port))
    ]
    assert opened == [("web", FOUR[2], 80), ("web", SIX[2], 80)]


def test_full_packets_of_ipv6_pass_and_larger_ones_are_told(place: World) -> None:
    _bring(place, IN_BOTH)
    web = place.nodes["web"]
    largest = place.plan.nodes["web"].overlay.mtu - 48  # the headers of IPv6 (RFC 8200) and ICMPv6 (RFC 4443)
    words = (str(PING), "-n", "-c", "1", "-W", "2", "-M", "do", "-s")
    assert [web.works(*words, str(size), SIX[2]) for size in (largest, largest + 1)] == [True, False]


@pytest.mark.parametrize("name", ["default", "wg0"])
def test_a_node_without_ipv6_refuses_and_stays_as_it_was(place: World, name: str) -> None:
    web = place.nodes["web"]
    web.run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
    try:
        with pytest.raises(AssertionError, match=f"net.ipv6.conf.{name}.disable_ipv6 is 1 on this host"):
            _bring(place, IN_BOTH)
        assert "fd00" not in web.run("wg", "show", "wg0", "allowed-ips")
        assert set(FOUR) <= set(_reached(place, "web"))
    finally:
        web.run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=0")
