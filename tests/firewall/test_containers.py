"""Containers on a node, the mesh and the internet, seen by packets. Needs root, for namespaces."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.firewall.played import PUBLISH, TRUSTED, mesh_of, ruleset_of, tcp, udp
from tests.firewall.world import (
    CONTAINER,
    METADATA,
    NODE_BRIDGE,
    NODE_MESH,
    NODE_PUBLIC,
    PEERS,
    STRANGER,
    World,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


@pytest.mark.parametrize(("interfaces", "passes"), [([], False), (["docker0"], True), (["dock*"], True)])
def test_containers_reach_the_host_when_their_bridge_is_trusted(
    place: World, interfaces: list[str], *, passes: bool
) -> None:
    place.load(ruleset_of(mesh_of(db={"trustedInterfaces": interfaces})))
    assert place.container.knock(tcp(CONTAINER, NODE_BRIDGE, 53)) == [passes]


@pytest.fixture
def published(place: World) -> Iterator[None]:
    place.load(PUBLISH)
    yield
    place.load("table ip publish\ndelete table ip publish\n")


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("interfaces", [[], ["docker0"]])
def test_what_docker_publishes_to_the_internet_stays_published(place: World, interfaces: list[str]) -> None:
    place.load(ruleset_of(mesh_of(db={"trustedInterfaces": interfaces})))
    assert place.outside.knock(tcp(STRANGER, NODE_PUBLIC, 8080)) == [True]
    assert place.container.knock(tcp(CONTAINER, STRANGER, 80)) == [True]


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(("interfaces", "passes"), [([], False), (["docker0"], True)])
def test_containers_and_mesh_reach_each_other_when_trusted(
    place: World, interfaces: list[str], *, passes: bool
) -> None:
    place.load(ruleset_of(mesh_of(db={"trustedInterfaces": interfaces})))
    assert place.container.knock(tcp(CONTAINER, PEERS[0], 80)) == [passes]
    assert place.mesh.knock(tcp(PEERS[0], NODE_MESH, 8080)) == [passes]


@pytest.mark.usefixtures("published")
def test_a_policy_holds_for_published_ports_as_their_clients_see_them(place: World) -> None:
    rule = {"from": ["web-1"], "to": ["db-1"], "allow": ["tcp/8080"]}
    place.load(ruleset_of(mesh_of(db=TRUSTED, policy=[rule])))
    assert place.mesh.knock(tcp(PEERS[0], NODE_MESH, 8080, 8081)) == [True, False]
    assert place.mesh.knock(tcp(PEERS[1], NODE_MESH, 8080)) == [False]


@pytest.mark.usefixtures("published")
def test_a_container_cannot_play_a_member_of_the_mesh(place: World) -> None:
    place.load(ruleset_of(mesh_of(db={**TRUSTED, "public": ["udp/53"]})))
    place.container.ip(f"address add {PEERS[0]}/32 dev eth0")
    try:
        with place.listening([53]) as heard:
            place.container.knock(udp(PEERS[0], NODE_BRIDGE, 53))
    finally:
        place.container.ip(f"address del {PEERS[0]}/32 dev eth0")
    assert heard.packets == []


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("db", "container"), [({}, False), (TRUSTED, False), ({**TRUSTED, "metadata": "containers"}, True)]
)
def test_the_metadata_service_is_for_root_and_if_told_so_for_containers(
    place: World, db: dict[str, Any], *, container: bool
) -> None:
    place.load(ruleset_of(mesh_of(db=db)))
    assert place.node.knock(tcp(NODE_PUBLIC, METADATA, 80)) == [True]
    assert place.node.knock(tcp(NODE_PUBLIC, METADATA, 80, uid=65534)) == [False]
    assert place.node.knock(tcp(NODE_PUBLIC, STRANGER, 80, uid=65534)) == [True]
    assert place.container.knock(tcp(CONTAINER, METADATA, 80)) == [container]


@pytest.mark.usefixtures("published")
def test_what_goes_through_the_tunnel_is_cut_to_its_size(place: World) -> None:
    place.load(ruleset_of(mesh_of(db=TRUSTED)))
    client, server = place.segment_sizes(place.container, place.mesh, PEERS[0])
    # 1420 less 40 for IP and TCP and 12 for time stamps; both ends' own links take 1500
    assert (client, server) == (1368, 1368)
