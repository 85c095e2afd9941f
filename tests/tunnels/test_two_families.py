"""IPv6 beside IPv4 through real tunnels: added, under a policy, taken away; no packet is lost."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.tunnels.agent import NEEDS_PING, PING, PROGRAM, bring, unbroken
from tests.tunnels.world import World, until, world

pytestmark = NEEDS_PING

IN_IPV4: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "nodes": {name: {"address": f"10.10.0.{number}"} for number, name in ((1, "web"), (2, "app"), (3, "db"))},
}
IN_BOTH = {**IN_IPV4, "cidr6": "fd00:10::/64"}
LIMITED = {**IN_BOTH, "policy": [{"from": ["web"], "to": ["db"], "allow": ["tcp/80"]}]}
FOUR, SIX = ("10.10.0.1", "10.10.0.2", "10.10.0.3"), ("fd00:10::1", "fd00:10::2", "fd00:10::3")


@pytest.fixture(scope="module")
def built() -> Iterator[World]:
    with world(IN_IPV4, PROGRAM) as built:
        yield built


@pytest.fixture
def place(built: World) -> World:
    bring(built, IN_IPV4)
    until(lambda: built.nodes["web"].pings(built.nodes["app"]))
    return built


def _reached(place: World, name: str) -> list[str]:
    words = (PING, "-n", "-c", "1", "-W", "2")
    return [to for to in (*FOUR, *SIX) if place.nodes[name].works(*words, to)]


def _all_arrive_while(place: World, address: str, raw: dict[str, Any]) -> bool:
    """Change the mesh while `web` pings an address; returns whether every packet got an answer."""
    ping = place.nodes["web"].start(PING, "-n", "-i", "0.01", "-I", "wg0", address)
    time.sleep(0.5)
    bring(place, raw)
    time.sleep(0.5)
    return unbroken(ping, at_least=50)


def test_adding_and_taking_away_ipv6_loses_no_packet_of_ipv4(place: World) -> None:
    assert _all_arrive_while(place, FOUR[1], IN_BOTH)
    for name in place.nodes:
        assert _reached(place, name) == [*FOUR, *SIX]
    assert _all_arrive_while(place, FOUR[1], IN_IPV4)
    assert _reached(place, "web") == list(FOUR)
    web = place.nodes["web"]
    assert web.run("ip", "-o", "-6", "address", "show", "wg0", "scope", "global") == ""
    assert "fd00" not in web.run("wg", "show", "wg0", "allowed-ips")


def test_a_policy_that_comes_holds_in_both_families_and_loses_nothing(place: World) -> None:
    bring(place, IN_BOTH)
    assert _all_arrive_while(place, SIX[1], LIMITED)
    ways = [(name, to, port) for name in ("web", "app") for to in (FOUR[2], SIX[2]) for port in (80, 81)]
    opened = [(name, to, port) for name, to, port in ways if place.nodes[name].answers_on(to, port)]
    assert opened == [("web", FOUR[2], 80), ("web", SIX[2], 80)]


def test_full_packets_of_ipv6_pass_and_larger_ones_are_told(place: World) -> None:
    bring(place, IN_BOTH)
    web = place.nodes["web"]
    largest = place.plan.nodes["web"].overlay.mtu - 48  # the headers of IPv6 (RFC 8200) and ICMPv6 (RFC 4443)
    words = (PING, "-n", "-c", "1", "-W", "2", "-M", "do", "-s")
    assert [web.works(*words, str(size), SIX[2]) for size in (largest, largest + 1)] == [True, False]


@pytest.mark.parametrize("name", ["default", "wg0"])
def test_a_node_without_ipv6_refuses_and_stays_as_it_was(place: World, name: str) -> None:
    web = place.nodes["web"]
    web.run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
    try:
        with pytest.raises(AssertionError, match=f"net.ipv6.conf.{name}.disable_ipv6 is 1 on this host"):
            bring(place, IN_BOTH)
        assert "fd00" not in web.run("wg", "show", "wg0", "allowed-ips")
        assert set(FOUR) <= set(_reached(place, "web"))
    finally:
        web.run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=0")
