"""Every ruleset is loaded for real, and packets decide what it does. Needs root, for namespaces."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.host.files.document import FIREWALL, SYSCTL, parse_document
from mesh.host.live.firewall import check_firewall, expected_table
from tests.unit.firewall.world import (
    CONTAINER,
    METADATA,
    NEXT_HOP,
    NODE_BRIDGE,
    NODE_MESH,
    NODE_MESH6,
    NODE_PUBLIC,
    NODE_PUBLIC6,
    OFFICE,
    OUTSIDE6,
    PEER6,
    PEER_ENDPOINT,
    PEERS,
    STRANGER,
    Knock,
    World,
    world,
)
from tests.unit.meshes import documents_of, plan_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

ECHO, TIMESTAMP, ECHO6 = 8, 13, 128  # ICMP types
GOLDEN = Path(__file__).parents[1] / "render" / "golden"
NODES: dict[str, Any] = {
    "web-1": {"address": PEERS[0], "groups": ["web"]},
    "web-2": {"address": PEERS[1], "groups": ["web"]},
    "mon-1": {"address": PEERS[2]},
    "db-1": {"address": NODE_MESH, "groups": ["db"]},
}


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    with world() as built:
        yield built


def _mesh(*, db: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    nodes = {**NODES, "db-1": {**NODES["db-1"], **(db or {})}}
    return {"cidr": "10.10.0.0/24", "nodes": nodes, **more}


def _ruleset(mesh: dict[str, Any]) -> str:
    """The firewall of db-1, which the world's node plays."""
    return parse_document(documents_of(plan_of(mesh))["db-1"].encode()).files[FIREWALL]


def _tcp(source: str, target: str, *ports: int, uid: int = 0) -> list[Knock]:
    return [Knock("tcp", source, target, port, uid) for port in ports]


def _udp(source: str, target: str, *ports: int) -> list[Knock]:
    return [Knock("udp", source, target, port) for port in ports]


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/*.txt")), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_the_agent_takes_every_golden_firewall(path: Path) -> None:
    files = parse_document(path.read_bytes()).files
    check_firewall(files[FIREWALL], where=path.stem)
    assert expected_table(files[FIREWALL]) == expected_table(files[FIREWALL])
    assert SYSCTL in files


def test_the_mesh_comes_in_and_the_internet_only_where_it_may(place: World) -> None:
    place.load(_ruleset(_mesh(db={"public": ["tcp/443", "tcp/8000-8100", "udp/53"]})))
    assert place.mesh.knock(_tcp(PEERS[0], NODE_MESH, 22, 80, 5432)) == [True, True, True]
    ports = (22, 443, 8000, 8100, 80, 5432, 7999, 8101, 53)
    passed = place.outside.knock(_tcp(STRANGER, NODE_PUBLIC, *ports))
    assert dict(zip(ports, passed, strict=True)) == {
        22: True,
        443: True,
        8000: True,
        8100: True,
        80: False,
        5432: False,
        7999: False,
        8101: False,
        53: False,
    }
    with place.listening([53, 54]):
        assert place.outside.knock(_udp(STRANGER, NODE_PUBLIC, 53, 54)) == [True, False]


def test_wireguards_port_is_open_to_peers_alone(place: World) -> None:
    place.load(_ruleset(_mesh()))
    with place.listening([51820]) as heard:
        assert place.outside.knock(_udp(PEER_ENDPOINT, NODE_PUBLIC, 51820)) == [True]
        assert place.outside.knock(_udp(STRANGER, NODE_PUBLIC, 51820)) == [False]
    assert [source for source, _port in heard.packets] == [PEER_ENDPOINT]


def test_ssh_is_open_to_its_sources_alone_on_both_families(place: World) -> None:
    place.load(_ruleset(_mesh(ssh={"from": ["203.0.113.0/24", f"{OUTSIDE6[0]}/64".replace("::5", "::")]})))
    assert place.outside.knock(_tcp(OFFICE, NODE_PUBLIC, 22)) == [True]
    assert place.outside.knock(_tcp(STRANGER, NODE_PUBLIC, 22)) == [False]
    assert place.outside.knock(_tcp(OUTSIDE6[0], NODE_PUBLIC6, 22)) == [True]
    assert place.outside.knock(_tcp(OUTSIDE6[1], NODE_PUBLIC6, 22)) == [False]
    assert place.mesh.knock(_tcp(PEERS[0], NODE_MESH, 22)) == [True]


def test_ssh_may_listen_elsewhere(place: World) -> None:
    place.load(_ruleset(_mesh(ssh={"port": 2222})))
    assert place.outside.knock(_tcp(STRANGER, NODE_PUBLIC, 2222, 22)) == [True, False]


def test_no_limit_slows_down_ssh(place: World) -> None:
    place.load(_ruleset(_mesh()))
    assert all(place.outside.knock(_tcp(STRANGER, NODE_PUBLIC, *[22] * 200)))


def test_ping_is_answered_everywhere(place: World) -> None:
    place.load(_ruleset(_mesh(policy=[])))
    assert place.outside.knock([Knock("icmp", STRANGER, NODE_PUBLIC, ECHO)]) == [True]
    assert place.outside.knock([Knock("icmp", OUTSIDE6[0], NODE_PUBLIC6, ECHO6)]) == [True]
    assert place.mesh.knock([Knock("icmp", PEERS[0], NODE_MESH, ECHO)]) == [True]


def test_other_icmp_needs_a_rule(place: World) -> None:
    place.load(_ruleset(_mesh(policy=[{"from": ["web-1"], "to": ["db"], "allow": ["icmp"]}])))
    assert place.mesh.knock([Knock("icmp", PEERS[0], NODE_MESH, TIMESTAMP)]) == [True]
    assert place.mesh.knock([Knock("icmp", PEERS[1], NODE_MESH, TIMESTAMP)]) == [False]
    assert place.outside.knock([Knock("icmp", STRANGER, NODE_PUBLIC, TIMESTAMP)]) == [False]


def test_leases_can_be_renewed_from_a_server_nearby(place: World) -> None:
    place.load(_ruleset(_mesh()))
    with place.listening([68]):
        near, forged = (Knock("udp", NEXT_HOP, NODE_PUBLIC, 68, sport=sport) for sport in (67, 6767))
        far = Knock("udp", STRANGER, NODE_PUBLIC, 68, sport=67)
        assert place.outside.knock([near, forged, far]) == [True, False, False]


def test_an_answer_to_ones_own_question_for_a_lease_comes_from_anywhere(place: World) -> None:
    place.load(_ruleset(_mesh()))
    with place.listening([67], place.outside):
        assert place.node.knock([Knock("udp", NODE_PUBLIC, STRANGER, 67, sport=68)]) == [True]


POLICY = [
    {"from": ["web"], "to": ["db"], "allow": ["tcp/5432", "udp/100-110"]},
    {"from": ["web-2"], "to": ["all"], "allow": ["tcp/9000-9010"]},
    {"from": ["mon-1"], "to": ["db-1"], "allow": ["all"]},
    {"from": ["db"], "to": ["web"], "allow": ["tcp/1-65535"]},
]
TCP = (
    *(5431, 5432, 5433, 8999, 9000, 9005, 9009, 9010, 9011),  # what a rule speaks of, and its neighbours
    *(99, 100, 101, 105, 110, 111, 51820, 51821),  # what one speaks of for UDP
    *(1, 21, 22, 23, 25, 53, 79, 80, 81, 442, 443, 444, 1023, 1024, 3306, 5400, 5500, 6379, 6443),
    *(8080, 8443, 9100, 10250, 27017, 32768, 54320, 65534, 65535),
)
UDP = (
    *(99, 100, 101, 105, 109, 110, 111),
    *(5432, 9000, 9010),
    *(1, 22, 53, 69, 112, 123, 161, 443, 500, 4789, 8472, 65535),
)


def _allowed(source: str, protocol: str, port: int) -> bool:
    """The policy above, read by hand for db-1."""
    if source == PEERS[2]:
        return True
    if protocol == "udp":
        return 100 <= port <= 110
    return port == 5432 or (source == PEERS[1] and 9000 <= port <= 9010)


def test_a_policy_lets_in_what_it_says_and_nothing_else(place: World) -> None:
    place.load(_ruleset(_mesh(db={"public": ["tcp/443"]}, policy=POLICY)))
    knocks = [
        knock
        for source in PEERS
        for knock in [*_tcp(source, NODE_MESH, *TCP), *_udp(source, NODE_MESH, *UDP)]
    ]
    assert len(knocks) == 201
    with place.listening(UDP) as heard:
        passed = place.mesh.knock(knocks)
    expected = {each: _allowed(each.source, each.protocol, each.port) for each in knocks}
    assert dict(zip(knocks, passed, strict=True)) == expected
    assert sorted(heard.packets) == sorted(
        (each.source, each.port) for each, allowed in expected.items() if allowed and each.protocol == "udp"
    )


def test_under_a_policy_ssh_needs_a_rule_or_a_source_inside_the_mesh(place: World) -> None:
    place.load(_ruleset(_mesh(policy=[], ssh={"from": ["203.0.113.0/24", PEERS[1]]})))
    assert place.mesh.knock([*_tcp(PEERS[0], NODE_MESH, 22), *_tcp(PEERS[1], NODE_MESH, 22)]) == [False, True]
    assert place.outside.knock(_tcp(OFFICE, NODE_PUBLIC, 22)) == [True]


def test_nobody_plays_the_mesh_from_outside_and_nobody_outside_comes_through_it(place: World) -> None:
    place.load(_ruleset(_mesh(db={"public": ["udp/53"]})))
    with place.listening([53]) as heard:
        # a member's address on the underlay; one nobody has; the overlay address asked from outside
        place.outside.knock(_udp(PEERS[0], NODE_PUBLIC, 53))
        place.outside.knock(_udp("10.10.0.250", NODE_PUBLIC, 53))
        place.outside.knock(_udp(STRANGER, NODE_MESH, 53))
        place.mesh.knock(_udp("10.99.0.1", NODE_MESH, 53))
        assert place.outside.knock(_udp(STRANGER, NODE_PUBLIC, 53)) == [True]
    assert heard.packets == [(STRANGER, 53)]


def test_nothing_comes_through_the_tunnel_by_ipv6(place: World) -> None:
    place.load("table inet wgmesh\ndelete table inet wgmesh\n")
    assert place.mesh.knock(_tcp(PEER6, NODE_MESH6, 22)) == [True]
    place.load(_ruleset(_mesh()))
    assert place.mesh.knock(_tcp(PEER6, NODE_MESH6, 22)) == [False]


def test_a_node_talks_to_itself_by_each_of_its_addresses(place: World) -> None:
    place.load(_ruleset(_mesh(policy=[], ssh={"from": [OFFICE]})))
    for address in ("127.0.0.1", NODE_MESH, NODE_PUBLIC, "::1"):
        assert place.node.knock(_tcp(address, address, 5432)) == [True]


def test_a_node_that_forwards_guards_its_own_overlay_address(place: World) -> None:
    place.load(_ruleset(_mesh(db={"public": ["udp/53"], "forward": True})))
    with place.listening([53]) as heard:
        place.outside.knock(_udp(STRANGER, NODE_MESH, 53))
    assert heard.packets == []


@pytest.mark.parametrize("forward", [True, False])
def test_only_a_node_that_forwards_lets_the_mesh_through(place: World, *, forward: bool) -> None:
    place.load(_ruleset(_mesh(db={"forward": forward})))
    with place.listening([9], place.outside) as heard:
        assert place.mesh.knock(_udp(PEERS[1], STRANGER, 9)) == [forward]
    assert heard.packets == ([(PEERS[1], 9)] if forward else [])


TRUSTED = {"trustedInterfaces": ["docker0"]}
FORWARD = {"forward": True}
LIMITED = [{"from": ["web-1"], "to": ["db-1"], "allow": ["tcp/80", "udp/53"]}]


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
    knocks = [*_tcp(source, CONTAINER, 80, 5432), *_tcp(source, PEERS[2], 80)]
    neighbour.load("table inet wgmesh\ndelete table inet wgmesh\n")
    assert neighbour.outside.knock(knocks) == [True] * 3
    neighbour.load(_ruleset(_mesh(db=db, **policy)))
    assert neighbour.outside.knock(knocks) == [False] * 3


def test_what_is_behind_a_node_that_forwards_reaches_the_internet_and_not_the_mesh(place: World) -> None:
    place.load(PUBLISH)
    try:
        place.load(_ruleset(_mesh(db=FORWARD, policy=[])))
        assert place.container.knock(_tcp(CONTAINER, STRANGER, 80)) == [True]
        assert place.container.knock(_tcp(CONTAINER, PEERS[0], 80)) == [False]
        assert place.outside.knock(_tcp(STRANGER, NODE_PUBLIC, 8080)) == [True], "published is published"
        place.load(_ruleset(_mesh(db={**FORWARD, **TRUSTED}, policy=[])))
        assert place.container.knock(_tcp(CONTAINER, PEERS[0], 80)) == [True]
    finally:
        place.load("table ip publish\ndelete table ip publish\n")


@pytest.mark.parametrize("db", [FORWARD, {**FORWARD, **TRUSTED}, {**FORWARD, "trustedInterfaces": ["dock*"]}])
def test_a_policy_holds_for_what_is_behind_a_node_that_forwards(place: World, db: dict[str, Any]) -> None:
    mesh = _mesh(db=db, policy=LIMITED, ssh={"from": [OFFICE, PEERS[1]]})
    place.load(_ruleset(mesh))
    with place.listening([53, 54], place.container):
        knocks = [*_tcp(PEERS[0], CONTAINER, 80, 5432, 22), *_udp(PEERS[0], CONTAINER, 53, 54)]
        assert place.mesh.knock(knocks) == [True, False, False, True, False]
        others = [*_tcp(PEERS[1], CONTAINER, 80, 22), *_udp(PEERS[1], CONTAINER, 53)]
        assert place.mesh.knock(others) == [False] * 3, (
            "who may open SSH to the node may not to what is behind"
        )
    assert place.mesh.knock([Knock("icmp", PEERS[1], CONTAINER, ECHO)]) == [True]


def test_a_policy_holds_for_the_way_to_the_internet_through_a_node_that_forwards(place: World) -> None:
    rule = {"from": ["web-2"], "to": ["db-1"], "allow": ["udp/53"]}
    place.load(_ruleset(_mesh(db=FORWARD, policy=[rule])))
    with place.listening([53, 54], place.outside) as heard:
        assert place.mesh.knock(_udp(PEERS[1], STRANGER, 53, 54)) == [True, False]
        assert place.mesh.knock(_udp(PEERS[2], STRANGER, 53)) == [False]
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
        place.load(_ruleset(_mesh(db=FORWARD, policy=LIMITED)))
        before = place.node.run("nft", "list", "chain", "inet", "wgmesh", "forward_mesh")
        assert place.mesh.knock(_tcp(PEERS[0], PEERS[2], 80)) == [False]
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


@pytest.mark.parametrize(("interfaces", "passes"), [([], False), (["docker0"], True), (["dock*"], True)])
def test_containers_reach_the_host_when_their_bridge_is_trusted(
    place: World, interfaces: list[str], *, passes: bool
) -> None:
    place.load(_ruleset(_mesh(db={"trustedInterfaces": interfaces})))
    assert place.container.knock(_tcp(CONTAINER, NODE_BRIDGE, 53)) == [passes]


# Publishes container port 80 on the host's 8080, as Docker does.
PUBLISH = f"""
table ip publish
delete table ip publish
table ip publish {{
    chain pre {{
        type nat hook prerouting priority dstnat;
        fib daddr type local tcp dport 8080 dnat to {CONTAINER}:80
        fib daddr type local tcp dport 8081 dnat to {CONTAINER}:81
    }}
    chain post {{
        type nat hook postrouting priority srcnat;
        ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
    }}
}}
"""


@pytest.fixture
def published(place: World) -> Iterator[None]:
    place.load(PUBLISH)
    yield
    place.load("table ip publish\ndelete table ip publish\n")


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("interfaces", [[], ["docker0"]])
def test_what_docker_publishes_to_the_internet_stays_published(place: World, interfaces: list[str]) -> None:
    place.load(_ruleset(_mesh(db={"trustedInterfaces": interfaces})))
    assert place.outside.knock(_tcp(STRANGER, NODE_PUBLIC, 8080)) == [True]
    assert place.container.knock(_tcp(CONTAINER, STRANGER, 80)) == [True]


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(("interfaces", "passes"), [([], False), (["docker0"], True)])
def test_containers_and_mesh_reach_each_other_when_trusted(
    place: World, interfaces: list[str], *, passes: bool
) -> None:
    place.load(_ruleset(_mesh(db={"trustedInterfaces": interfaces})))
    assert place.container.knock(_tcp(CONTAINER, PEERS[0], 80)) == [passes]
    assert place.mesh.knock(_tcp(PEERS[0], NODE_MESH, 8080)) == [passes]


@pytest.mark.usefixtures("published")
def test_a_policy_holds_for_published_ports_as_their_clients_see_them(place: World) -> None:
    rule = {"from": ["web-1"], "to": ["db-1"], "allow": ["tcp/8080"]}
    place.load(_ruleset(_mesh(db=TRUSTED, policy=[rule])))
    assert place.mesh.knock(_tcp(PEERS[0], NODE_MESH, 8080, 8081)) == [True, False]
    assert place.mesh.knock(_tcp(PEERS[1], NODE_MESH, 8080)) == [False]


@pytest.mark.usefixtures("published")
def test_a_container_cannot_play_a_member_of_the_mesh(place: World) -> None:
    place.load(_ruleset(_mesh(db={**TRUSTED, "public": ["udp/53"]})))
    place.container.ip(f"address add {PEERS[0]}/32 dev eth0")
    try:
        with place.listening([53]) as heard:
            place.container.knock(_udp(PEERS[0], NODE_BRIDGE, 53))
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
    place.load(_ruleset(_mesh(db=db)))
    assert place.node.knock(_tcp(NODE_PUBLIC, METADATA, 80)) == [True]
    assert place.node.knock(_tcp(NODE_PUBLIC, METADATA, 80, uid=65534)) == [False]
    assert place.node.knock(_tcp(NODE_PUBLIC, STRANGER, 80, uid=65534)) == [True]
    assert place.container.knock(_tcp(CONTAINER, METADATA, 80)) == [container]


@pytest.mark.usefixtures("published")
def test_what_goes_through_the_tunnel_is_cut_to_its_size(place: World) -> None:
    place.load(_ruleset(_mesh(db=TRUSTED)))
    client, server = place.segment_sizes(place.container, place.mesh, PEERS[0])
    # 1420 less 40 for IP and TCP and 12 for time stamps; both ends' own links take 1500
    assert (client, server) == (1368, 1368)


OTHERS = """
table ip nat {
    chain DOCKER { }
    chain PREROUTING { type nat hook prerouting priority dstnat; fib daddr type local jump DOCKER; }
}
table inet f2b-table {
    set addr-set-sshd { type ipv4_addr; elements = { 192.0.2.66, 192.0.2.67 } }
    chain f2b-chain { type filter hook input priority -1; tcp dport 22 ip saddr @addr-set-sshd reject; }
}
table ip kube-proxy {
    map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
    chain services { ip daddr . meta l4proto . th dport vmap @service-ips; }
    chain nat-prerouting { type nat hook prerouting priority dstnat; jump services; }
}
"""


def test_other_owners_tables_are_never_touched(place: World) -> None:
    tables = ("ip nat", "inet f2b-table", "ip kube-proxy")
    place.load(OTHERS)
    try:
        before = [place.node.run("nft", "-a", "list", "table", *name.split()) for name in tables]
        for index in range(5):
            place.load(_ruleset(_mesh(db={"public": [f"tcp/{80 + index}"]})))
        after = [place.node.run("nft", "-a", "list", "table", *name.split()) for name in tables]
    finally:
        place.load("".join(f"delete table {name}\n" for name in tables))
    assert before == after
    assert "192.0.2.66" in before[1]


def test_nothing_is_left_of_the_ruleset_before(place: World) -> None:
    one, other = _ruleset(_mesh(policy=POLICY, db=TRUSTED)), _ruleset(_mesh())
    place.load(other)
    fresh = place.node.run("nft", "-s", "list", "ruleset")
    place.load(one)
    place.load(other)
    assert place.node.run("nft", "-s", "list", "ruleset") == fresh
