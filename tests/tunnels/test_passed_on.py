"""Both families passed on by a node: between nodes behind NAT, and to a network behind it. Needs root."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.spaces import Space
from tests.tunnels.agent import NEEDS_PING, PING, PROGRAM, bring, unbroken
from tests.tunnels.world import World, until, world

pytestmark = NEEDS_PING

LAN, LAN6 = "10.20.0.0/16", "fd20:0:0:7::/64"
HOST, HOST6 = "10.20.0.5", "fd20:0:0:7::5"
HOME, HOME6 = "10.10.0.4", "fd00:10::4"
WEB, WEB6 = "10.10.0.2", "fd00:10::2"
OFFICE6 = "fd00:10::3"
POLICY = [
    {"from": ["office"], "to": ["home"], "allow": ["tcp/80"]},
    {"from": ["web"], "to": [LAN6], "allow": ["tcp/81"]},
    {"from": [LAN6], "to": ["home"], "allow": ["tcp/82"]},
]


def _mesh(**more: Any) -> dict[str, Any]:
    return {
        "cidr": "10.10.0.0/24",
        "cidr6": "fd00:10::/64",
        "nodes": {
            "hub": {"address": "10.10.0.1", "routes": [LAN, LAN6]},
            "web": {"address": WEB},
            "office": {"address": "10.10.0.3", "endpoint": "none", "relay": "hub", "keepalive": 1},
            "home": {"address": HOME, "endpoint": "none", "keepalive": 1},
        },
        **more,
    }


@pytest.fixture(scope="module")
def built() -> Iterator[World]:
    with world(_mesh(), PROGRAM) as built:
        yield built


@pytest.fixture(scope="module")
def lan(built: World) -> Iterator[Space]:
    """A host behind `hub`."""
    hub = built.nodes["hub"]
    host = hub.lan("10.20.0.1/16", f"{HOST}/16")
    hub.in_lan(host, "fd20:0:0:7::1/64", f"{HOST6}/64")
    yield host
    host.end()


@pytest.fixture
def place(built: World, lan: Space) -> World:
    """All tunnels with their first handshakes behind them, which on a slow machine outlast a ping."""
    bring(built, _mesh())
    until(lambda: _reaches(built.nodes["office"], HOME, HOME6))
    until(lambda: all(_reaches(built.nodes[name], HOST) for name in ("web", "office", "home")))
    return built


def _reaches(space: Space, *addresses: str) -> bool:
    return all(space.works(PING, "-n", "-c", "1", "-W", "1", address) for address in addresses)


def test_a_relay_and_a_network_behind_it_are_reached_in_both_families(place: World, lan: Space) -> None:
    for name in ("web", "office", "home"):
        assert _reaches(place.nodes[name], HOST, HOST6), name
    assert _reaches(lan, WEB, WEB6, HOME, HOME6)
    ping = place.nodes["office"].start(PING, "-n", "-i", "0.01", HOME6)
    for policy in (POLICY, [], POLICY):
        bring(place, _mesh(policy=policy))
    assert unbroken(ping)


def test_under_a_policy_each_end_lets_in_what_rules_name(place: World, lan: Space) -> None:
    bring(place, _mesh(policy=POLICY))
    office, web, home = (place.nodes[name] for name in ("office", "web", "home"))
    for address in (HOME, HOME6):
        assert [office.answers_on(address, port) for port in (80, 81)] == [True, False]
    assert [web.answers_on(HOST6, port) for port in (81, 80)] == [True, False]
    assert not web.answers_on(HOST, 81)
    assert not home.answers_on(HOST6, 81)
    assert [lan.answers_on(HOME6, port) for port in (82, 80)] == [True, False]
    assert not lan.answers_on(HOME, 82)


def test_a_relay_passes_on_no_other_pair_in_ipv6(place: World) -> None:
    """A node that sends everything to the relay gets no further than the relay."""
    web, hub, office = (place.nodes[name] for name in ("web", "hub", "office"))
    peer = next(key for key, each in web.device().peers.items() if "10.10.0.1/32" in each.allowed_ips)
    web.run("wg", "set", "wg0", "peer", peer, "allowed-ips", f"{hub.inner}/32,{OFFICE6}/128")
    relay = next(key for key, each in office.device().peers.items() if "10.10.0.1/32" in each.allowed_ips)
    office.run("wg", "set", "wg0", "peer", relay, "allowed-ips", f"{hub.inner}/32,{WEB6}/128,{HOME6}/128")
    assert not _reaches(web, OFFICE6)
    hub.run("nft", "flush", "chain", "inet", "wgmesh", "forward_mesh")
    hub.run("nft", "add", "rule", "inet", "wgmesh", "forward_mesh", "accept")
    assert _reaches(web, OFFICE6), "without the relay's rules the packet would have come through"


def test_a_node_that_passes_on_nothing_more_forwards_no_ipv6(place: World) -> None:
    raw = _mesh(links=[["hub", "web"], ["hub", "office"], ["hub", "home"]])
    raw["nodes"]["hub"]["routes"] = [LAN]
    del raw["nodes"]["office"]["relay"]
    bring(place, raw)
    assert place.nodes["hub"].run("sysctl", "-n", "net.ipv6.conf.all.forwarding") == "0\n"
    assert not _reaches(place.nodes["office"], HOME6)
