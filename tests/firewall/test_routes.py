"""Networks behind nodes, seen by packets: behind this node, and behind a peer. Needs root, for namespaces."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.firewall.played import ECHO, mesh_of, ruleset_of, tcp, udp
from tests.firewall.world import CONTAINER, NODE_MESH, NODE_PUBLIC, PEERS, STRANGER, Knock, World

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

LAN = "172.17.0.0/16"  # the network of the world's container, which plays a host of a LAN
BEHIND = {"routes": [LAN]}
AWAY, AWAY_HOST = "10.99.0.0/24", "10.99.0.1"  # behind the peer web-1


def _behind_web_1(**more: Any) -> dict[str, Any]:
    mesh = mesh_of(**more)
    mesh["nodes"]["web-1"] = {**mesh["nodes"]["web-1"], "routes": [AWAY]}
    return mesh


@pytest.fixture(autouse=True)
def _way_to_the_peer(place: World) -> Iterator[None]:
    """The agent's route to what is behind the peer."""
    place.node.ip(f"route add {AWAY} dev wg0")
    yield
    place.node.ip(f"route del {AWAY} dev wg0")


@pytest.fixture
def neighbour(place: World) -> Iterator[World]:
    """The outside sends what claims to come from both networks, and knows a way to them."""
    inside = ("172.17.0.9", AWAY_HOST)
    place.outside.ip(
        *(f"address add {address}/32 dev eth0" for address in inside),
        f"route add {CONTAINER} via {NODE_PUBLIC}",
    )
    yield place
    place.outside.ip(*(f"address del {address}/32 dev eth0" for address in inside), f"route del {CONTAINER}")


def test_without_a_policy_a_network_is_a_member_of_the_mesh(place: World) -> None:
    place.load(ruleset_of(mesh_of(db=BEHIND)))
    assert place.mesh.knock(tcp(PEERS[0], CONTAINER, 80)) == [True]
    assert place.container.knock(tcp(CONTAINER, PEERS[0], 80)) == [True]
    assert place.container.knock(tcp(CONTAINER, NODE_MESH, 80)) == [True]


def test_with_a_policy_rules_name_the_network(place: World) -> None:
    rules = [
        {"from": ["web-1"], "to": [LAN], "allow": ["tcp/80", "udp/53"]},
        {"from": ["mon-1"], "to": ["db-1"], "allow": ["all"]},
        {"from": [LAN], "to": ["db-1"], "allow": ["tcp/443"]},
    ]
    place.load(ruleset_of(mesh_of(db=BEHIND, policy=rules)))
    with place.listening([53], place.container):
        knocks = [*tcp(PEERS[0], CONTAINER, 80, 81), *udp(PEERS[0], CONTAINER, 53)]
        assert place.mesh.knock(knocks) == [True, False, True]
    assert place.mesh.knock(tcp(PEERS[2], CONTAINER, 80)) == [False], "a rule to the node is none to the LAN"
    assert place.mesh.knock([Knock("icmp", PEERS[2], CONTAINER, ECHO)]) == [True]
    assert place.container.knock(tcp(CONTAINER, NODE_MESH, 443, 80)) == [True, False]
    assert place.container.knock(tcp(CONTAINER, PEERS[0], 80)) == [True], "the target decides"


def test_a_network_that_no_rule_lets_begin_stays_out_of_the_mesh(place: World) -> None:
    rule = {"from": ["web-1"], "to": [LAN], "allow": ["tcp/80"]}
    place.load(ruleset_of(mesh_of(db=BEHIND, policy=[rule])))
    assert place.container.knock(tcp(CONTAINER, PEERS[0], 80)) == [False]
    assert place.container.knock(tcp(CONTAINER, NODE_MESH, 443)) == [False]
    assert place.mesh.knock(tcp(PEERS[0], CONTAINER, 80)) == [True], "answers pass"


def test_what_is_behind_a_peer_comes_through_the_tunnel_alone(neighbour: World) -> None:
    neighbour.load(ruleset_of(_behind_web_1()))
    assert neighbour.mesh.knock(tcp(AWAY_HOST, NODE_MESH, 80)) == [True]
    neighbour.load(ruleset_of(_behind_web_1(db={"public": ["udp/53"]})))
    with neighbour.listening([53]) as heard:
        neighbour.outside.knock(udp(AWAY_HOST, NODE_PUBLIC, 53))
    assert heard.packets == []
    neighbour.load(ruleset_of(mesh_of()))
    assert neighbour.mesh.knock(tcp(AWAY_HOST, NODE_MESH, 80)) == [False], "no peer has this network"


def test_what_is_behind_a_peer_needs_a_rule_under_a_policy(place: World) -> None:
    rules = [
        {"from": ["web-1"], "to": ["db-1"], "allow": ["tcp/80"]},
        {"from": [AWAY], "to": ["db-1", LAN], "allow": ["tcp/443"]},
    ]
    place.load(ruleset_of(_behind_web_1(db=BEHIND, policy=rules)))
    assert place.mesh.knock(tcp(AWAY_HOST, NODE_MESH, 80, 443)) == [False, True]
    assert place.mesh.knock(tcp(AWAY_HOST, CONTAINER, 80, 443)) == [False, True]
    assert place.mesh.knock(tcp(PEERS[0], CONTAINER, 443)) == [False]


@pytest.mark.parametrize("policy", [{}, {"policy": [{"from": [LAN], "to": ["all"], "allow": ["all"]}]}])
def test_nobody_outside_plays_the_network_or_comes_into_it(neighbour: World, policy: dict[str, Any]) -> None:
    neighbour.load("table inet wgmesh\ndelete table inet wgmesh\n")
    assert neighbour.outside.knock(tcp(STRANGER, CONTAINER, 80)) == [True], "there is a way"
    neighbour.load(ruleset_of(mesh_of(db={**BEHIND, "public": ["udp/53"]}, **policy)))
    assert neighbour.outside.knock(tcp(STRANGER, CONTAINER, 80)) == [False]
    with neighbour.listening([53]) as heard, neighbour.listening([54], neighbour.mesh) as inside:
        neighbour.outside.knock(
            [
                *udp("172.17.0.9", NODE_PUBLIC, 53),
                *udp("172.17.0.9", NODE_MESH, 53),
                *udp("172.17.0.9", PEERS[1], 54),
            ]
        )
    assert heard.packets == []
    assert inside.packets == []
