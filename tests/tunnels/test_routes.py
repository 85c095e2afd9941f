"""A network behind a node, by real tunnels: the agent's peers and routes, packets both ways, none lost."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.spaces import Space
from tests.tunnels.agent import NEEDS_PING, PING, PROGRAM, bring, unbroken
from tests.tunnels.world import Node, World, until, world

pytestmark = NEEDS_PING

LAN, HOST = "10.20.0.0/16", "10.20.0.5"
HTTP = [
    {"from": ["web"], "to": [LAN], "allow": ["tcp/80"]},
    {"from": [LAN], "to": ["db"], "allow": ["tcp/81"]},
]


def _mesh(*, routes: list[str], **more: Any) -> dict[str, Any]:
    nodes = {"office": {"address": "10.10.0.1", "routes": routes}}
    nodes |= {name: {"address": f"10.10.0.{number}"} for number, name in ((2, "web"), (3, "db"))}
    return {"cidr": "10.10.0.0/24", "nodes": nodes, **more}


@pytest.fixture(scope="module")
def built() -> Iterator[World]:
    with world(_mesh(routes=[]), PROGRAM) as built:
        yield built


@pytest.fixture(scope="module")
def lan(built: World) -> Iterator[Space]:
    """A host of the LAN behind `office`."""
    host = built.nodes["office"].lan("10.20.0.1/16", f"{HOST}/16")
    yield host
    host.end()


@pytest.fixture
def place(built: World, lan: Space) -> World:
    bring(built, _mesh(routes=[]))
    until(lambda: built.nodes["web"].pings(built.nodes["office"]))
    return built


def _pings(space: Space, address: str) -> bool:
    return space.works(PING, "-n", "-c", "1", "-W", "1", address)


def _routes(node: Node) -> str:
    return node.run("ip", "route", "show", "dev", "wg0", "proto", "87")


def test_a_network_comes_without_loss_and_is_reached_both_ways(place: World, lan: Space) -> None:
    web, office = place.nodes["web"], place.nodes["office"]
    assert not _pings(web, HOST)
    ping = web.start(PING, "-n", "-i", "0.01", office.inner)
    for routes in ([LAN], [LAN, "192.168.7.0/24"], [], [LAN]):
        bring(place, _mesh(routes=routes))
    assert unbroken(ping)
    assert _routes(web).split() == [LAN, "scope", "link"]
    assert _routes(office) == "", "the node itself has its own way there"
    assert _pings(web, HOST)
    assert _pings(lan, web.inner)
    assert lan.answers_on(place.nodes["db"].inner, 80)


def test_under_a_policy_rules_name_the_network(place: World, lan: Space) -> None:
    web, db = place.nodes["web"], place.nodes["db"]
    bring(place, _mesh(routes=[LAN], policy=HTTP))
    assert [web.answers_on(HOST, port) for port in (80, 81)] == [True, False]
    assert not db.answers_on(HOST, 80)
    assert [lan.answers_on(db.inner, port) for port in (81, 80)] == [True, False]
    assert not lan.answers_on(web.inner, 81)


def test_a_node_that_is_not_enabled_takes_its_networks_along(place: World, lan: Space) -> None:
    web = place.nodes["web"]
    bring(place, _mesh(routes=[LAN]))
    assert _pings(web, HOST)
    raw = _mesh(routes=[LAN])
    raw["nodes"]["office"]["enabled"] = False
    bring(place, raw)
    assert _routes(web) == ""
    assert not _pings(web, HOST)


def test_networks_behind_two_nodes_reach_each_other(place: World, lan: Space) -> None:
    db = place.nodes["db"]
    other = db.lan("10.30.0.1/16", "10.30.0.5/16")
    rule = {"from": [LAN], "to": ["10.30.0.0/16"], "allow": ["tcp/80"]}
    raw = _mesh(routes=[LAN], policy=[rule])
    raw["nodes"]["db"]["routes"] = ["10.30.0.0/16"]
    bring(place, raw)
    assert [lan.answers_on("10.30.0.5", port) for port in (80, 81)] == [True, False]
    assert not other.answers_on(HOST, 80)
    other.end()
    db.works("ip", "link", "del", "lan0")
