"""A network behind a node, by real tunnels: the agent's peers and routes, packets both ways, none lost."""

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tunnels.world import Node, Space, World, until, wireguard_go, world
from tests.unit.meshes import plan_of

ROOT = Path(__file__).parents[2]
PROGRAM = wireguard_go()
PING = shutil.which("ping") or next(map(str, sorted(ROOT.glob(".lab/image/*/usr/bin/ping"))), None)
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or PROGRAM is None or PING is None,
    reason="needs root, wireguard-go and ping (`make image`)",
)

LAN, HOST = "10.20.0.0/16", "10.20.0.5"
HTTP = [
    {"from": ["web"], "to": [LAN], "allow": ["tcp/80"]},
    {"from": [LAN], "to": ["db"], "allow": ["tcp/81"]},
]
_CONF = "/etc/wireguard/wg0.conf"
# What the agent does with the whole interface.
_CONVERGE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from mesh.host.files.wgconf import parse_wg_file
from mesh.host.live.device import link_differences, wanted_device, wanted_link, with_keys
from mesh.host.live.interface import converge, read_link
from mesh.host.tunnel import WG0
given = json.load(sys.stdin)
file = parse_wg_file(given["file"], where="wg0.conf")
converge(WG0, with_keys(wanted_device(file), given["keys"]), wanted_link(file))
assert link_differences(read_link(WG0), wanted_link(file)) == []
"""


def _mesh(*, routes: list[str], **more: Any) -> dict[str, Any]:
    nodes = {"office": {"address": "10.10.0.1", "routes": routes}}
    nodes |= {name: {"address": f"10.10.0.{number}"} for number, name in ((2, "web"), (3, "db"))}
    return {"cidr": "10.10.0.0/24", "nodes": nodes, **more}


def _bring(place: World, raw: dict[str, Any]) -> None:
    """Have the files of this mesh in force, in the order and by the commands of the agent."""
    plan = plan_of(raw)
    for name, node in place.nodes.items():
        node.plan = plan.nodes[name]
    for name, (text, keys) in place.documents().items():
        node = place.nodes[name]
        node.load(text)
        said = json.dumps({"file": node.document.files[_CONF], "keys": keys})
        node.run(sys.executable, "-c", _CONVERGE, str(ROOT), stdin=said)


@pytest.fixture(scope="module")
def built() -> Iterator[World]:
    assert PROGRAM is not None
    with world(_mesh(routes=[]), PROGRAM) as built:
        yield built


@pytest.fixture(scope="module")
def lan(built: World) -> Iterator[Space]:
    """A host of the LAN behind `office`."""
    office, host = built.nodes["office"], Space()
    office.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
    office.run("ip", "addr", "add", "10.20.0.1/16", "dev", "lan0")
    office.run("ip", "link", "set", "lan0", "up")
    host.run("ip", "addr", "add", f"{HOST}/16", "dev", "eth0")
    host.run("ip", "link", "set", "eth0", "up")
    host.run("ip", "route", "add", "default", "via", "10.20.0.1")
    yield host
    host.end()


@pytest.fixture
def place(built: World, lan: Space) -> World:
    _bring(built, _mesh(routes=[]))
    until(lambda: built.nodes["web"].pings(built.nodes["office"]))
    return built


def _pings(space: Space, address: str) -> bool:
    return space.works(str(PING), "-n", "-c", "1", "-W", "1", address)


_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1)"


def _passes(space: Space, address: str, port: int) -> bool:
    """Whether a TCP connection gets an answer: a refusal, as nobody listens."""
    found = space.start(sys.executable, "-S", "-c", f"{_CONNECT_OR_REFUSED}", address, str(port))
    return found.wait() == 0


_CONNECT_OR_REFUSED = f"""
import sys
try:
    {_CONNECT}
except ConnectionRefusedError:
    pass
"""


def _routes(node: Node) -> str:
    return node.run("ip", "route", "show", "dev", "wg0", "proto", "87")


def test_a_network_comes_without_loss_and_is_reached_both_ways(place: World, lan: Space) -> None:
    web, office = place.nodes["web"], place.nodes["office"]
    assert not _pings(web, HOST)
    ping = web.start(str(PING), "-n", "-i", "0.01", office.inner)
    for routes in ([LAN], [LAN, "192.168.7.0/24"], [], [LAN]):
        _bring(place, _mesh(routes=routes))
    ping.send_signal(signal.SIGINT)
    numbers = [int(each) for each in re.findall(r"icmp_seq=(\d+) ttl=", ping.communicate()[0])]
    assert len(numbers) > 20
    assert numbers == list(range(1, numbers[-1] + 1))
    assert _routes(web).split() == [LAN, "scope", "link"]
    assert _routes(office) == "", "the node itself has its own way there"
    assert _pings(web, HOST)
    assert _pings(lan, web.inner)
    assert _passes(lan, place.nodes["db"].inner, 80)


def test_under_a_policy_rules_name_the_network(place: World, lan: Space) -> None:
    web, db = place.nodes["web"], place.nodes["db"]
    _bring(place, _mesh(routes=[LAN], policy=HTTP))
    assert [_passes(web, HOST, port) for port in (80, 81)] == [True, False]
    assert not _passes(db, HOST, 80)
    assert [_passes(lan, db.inner, port) for port in (81, 80)] == [True, False]
    assert not _passes(lan, web.inner, 81)


def test_a_node_that_is_not_enabled_takes_its_networks_along(place: World, lan: Space) -> None:
    web = place.nodes["web"]
    _bring(place, _mesh(routes=[LAN]))
    assert _pings(web, HOST)
    raw = _mesh(routes=[LAN])
    raw["nodes"]["office"]["enabled"] = False
    _bring(place, raw)
    assert _routes(web) == ""
    assert not _pings(web, HOST)


def test_networks_behind_two_nodes_reach_each_other(place: World, lan: Space) -> None:
    db, other = place.nodes["db"], Space()
    db.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", str(other.pid))
    db.run("ip", "addr", "add", "10.30.0.1/16", "dev", "lan0")
    db.run("ip", "link", "set", "lan0", "up")
    other.run("ip", "addr", "add", "10.30.0.5/16", "dev", "eth0")
    other.run("ip", "link", "set", "eth0", "up")
    other.run("ip", "route", "add", "default", "via", "10.30.0.1")
    rule = {"from": [LAN], "to": ["10.30.0.0/16"], "allow": ["tcp/80"]}
    raw = _mesh(routes=[LAN], policy=[rule])
    raw["nodes"]["db"]["routes"] = ["10.30.0.0/16"]
    _bring(place, raw)
    assert [_passes(lan, "10.30.0.5", port) for port in (80, 81)] == [True, False]
    assert not _passes(other, HOST, 80)
    other.end()
    db.works("ip", "link", "del", "lan0")
