"""What a node that forwards lets through, seen by packets. Needs root, for namespaces."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.firewall.played import ECHO, FORWARD, LIMITED, PUBLISH, TRUSTED, mesh_of, ruleset_of, tcp, udp
from tests.firewall.world import (
    CONTAINER,
    NEXT_HOP,
    NODE_MESH,
    NODE_PUBLIC,
    OFFICE,
    PEER_ENDPOINT,
    PEERS,
    STRANGER,
    Knock,
    World,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


def test_a_node_that_forwards_guards_its_own_overlay_address(place: World) -> None:
    place.load(ruleset_of(mesh_of(db={"public": ["udp/53"], "forward": True})))
    with place.listening([53]) as heard:
        place.outside.knock(udp(STRANGER, NODE_MESH, 53))
    assert heard.packets == []


@pytest.mark.parametrize("forward", [True, False])
def test_only_a_node_that_forwards_lets_the_mesh_through(place: World, *, forward: bool) -> None:
    place.load(ruleset_of(mesh_of(db={"forward": forward})))
    with place.listening([9], place.outside) as heard:
        assert place.mesh.knock(udp(PEERS[1], STRANGER, 9)) == [forward]
    assert heard.packets == ([(PEERS[1], 9)] if forward else [])


@pytest.fixture
def neighbour(place: World) -> Iterator[World]:
    """The outside knows that a network, and the mesh, lie behind the node: as the very next hop may."""
    routes = [f"{CONTAINER} via {NODE_PUBLIC}", f"{PEERS[2]} via {NODE_PUBLIC}"]
    place.outside.ip(*(f"route add {route}" for route in routes))
    yield place
    place.outside.ip(*(f"route del {route}" for route in routes))


@pytest.mark.parametrize("db", [FORWARD, {**FORWARD, "public": ["tcp/80"]}])
@pytest.mark.parametrize("policy", [{}, {"policy": []}, {"policy": LIMITED}])
@pytest.mark.parametrize("source", [STRANGER, NEXT_HOP, PEER_ENDPOINT])
def test_a_node_that_forwards_is_no_open_router(
    neighbour: World, db: dict[str, Any], policy: dict[str, Any], source: str
) -> None:
    """Neither to the network behind it nor into the mesh, whatever the source is."""
    knocks = [*tcp(source, CONTAINER, 80, 5432), *tcp(source, PEERS[2], 80)]
    neighbour.load("table inet wgmesh\ndelete table inet wgmesh\n")
    assert neighbour.outside.knock(knocks) == [True] * 3
    neighbour.load(ruleset_of(mesh_of(db=db, **policy)))
    assert neighbour.outside.knock(knocks) == [False] * 3


def test_what_is_behind_a_node_that_forwards_reaches_the_internet_and_not_the_mesh(place: World) -> None:
    place.load(PUBLISH)
    try:
        place.load(ruleset_of(mesh_of(db=FORWARD, policy=[])))
        assert place.container.knock(tcp(CONTAINER, STRANGER, 80)) == [True]
        assert place.container.knock(tcp(CONTAINER, PEERS[0], 80)) == [False]
        assert place.outside.knock(tcp(STRANGER, NODE_PUBLIC, 8080)) == [True], "published is published"
        place.load(ruleset_of(mesh_of(db={**FORWARD, **TRUSTED}, policy=[])))
        assert place.container.knock(tcp(CONTAINER, PEERS[0], 80)) == [True]
    finally:
        place.load("table ip publish\ndelete table ip publish\n")


@pytest.mark.parametrize("db", [FORWARD, {**FORWARD, **TRUSTED}, {**FORWARD, "trustedInterfaces": ["dock*"]}])
def test_a_policy_holds_for_what_is_behind_a_node_that_forwards(place: World, db: dict[str, Any]) -> None:
    mesh = mesh_of(db=db, policy=LIMITED, ssh={"from": [OFFICE, PEERS[1]]})
    place.load(ruleset_of(mesh))
    with place.listening([53, 54], place.container):
        knocks = [*tcp(PEERS[0], CONTAINER, 80, 5432, 22), *udp(PEERS[0], CONTAINER, 53, 54)]
        assert place.mesh.knock(knocks) == [True, False, False, True, False]
        others = [*tcp(PEERS[1], CONTAINER, 80, 22), *udp(PEERS[1], CONTAINER, 53)]
        assert place.mesh.knock(others) == [False] * 3, (
            "who may open SSH to the node may not to what is behind"
        )
    assert place.mesh.knock([Knock("icmp", PEERS[1], CONTAINER, ECHO)]) == [True]


def test_a_policy_holds_for_the_way_to_the_internet_through_a_node_that_forwards(place: World) -> None:
    rule = {"from": ["web-2"], "to": ["db-1"], "allow": ["udp/53"]}
    place.load(ruleset_of(mesh_of(db=FORWARD, policy=[rule])))
    with place.listening([53, 54], place.outside) as heard:
        assert place.mesh.knock(udp(PEERS[1], STRANGER, 53, 54)) == [True, False]
        assert place.mesh.knock(udp(PEERS[2], STRANGER, 53)) == [False]
    assert heard.packets == [(PEERS[1], 53)]


# As people set it up so that the mesh answers what comes from behind a node.
HIDE = f"""
table ip hide
delete table ip hide
table ip hide {{
    chain post {{
        type nat hook postrouting priority srcnat;
        oifname "wg0" snat to {NODE_MESH}
    }}
}}
"""


def test_a_member_does_not_borrow_a_forwarding_nodes_address(place: World) -> None:
    """The policy of the third one knows the node in between, which may more than the first one."""
    place.load(HIDE)
    place.mesh.ip(
        f"route add {PEERS[2]} via {NODE_MESH} dev wg0 onlink table 7",
        f"rule add from {PEERS[0]} table 7 pref 0",
        "rule add table local pref 1",
        "rule del pref 0 table local",
    )
    try:
        place.load(ruleset_of(mesh_of(db=FORWARD, policy=LIMITED)))
        before = place.node.run("nft", "list", "chain", "inet", "wgmesh", "forward_mesh")
        assert place.mesh.knock(tcp(PEERS[0], PEERS[2], 80)) == [False]
        after = place.node.run("nft", "list", "chain", "inet", "wgmesh", "forward_mesh")
        assert before != after, "it went that way"
    finally:
        place.mesh.ip(
            "rule add table local pref 0",
            f"rule del from {PEERS[0]} table 7 pref 0",
            "rule del pref 1 table local",
            "route flush table 7",
        )
        place.load("table ip hide\ndelete table ip hide\n")
