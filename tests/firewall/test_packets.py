"""Every ruleset is loaded for real, and packets decide what it does. Needs root, for namespaces."""

import os
from pathlib import Path
from typing import Any

import pytest

from mesh.host.files.document import FIREWALL, SYSCTL, parse_document
from mesh.host.live.firewall import check_firewall, expected_table
from tests.firewall.played import ECHO, TRUSTED, mesh_of, ruleset_of, tcp, udp
from tests.firewall.world import (
    NEXT_HOP,
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
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

TIMESTAMP, ECHO6 = 13, 128  # ICMP types
GOLDEN = Path(__file__).parents[1] / "unit" / "render" / "golden"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/*.txt")), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_the_agent_takes_every_golden_firewall(path: Path) -> None:
    files = parse_document(path.read_bytes()).files
    check_firewall(files[FIREWALL], where=path.stem)
    table = expected_table(files[FIREWALL])
    assert all(f'"name": "{chain}"' in table for chain in ("input", "forward")), table
    assert SYSCTL in files


def test_the_mesh_comes_in_and_the_internet_only_where_it_may(place: World) -> None:
    place.load(ruleset_of(mesh_of(db={"public": ["tcp/443", "tcp/8000-8100", "udp/53"]})))
    assert place.mesh.knock(tcp(PEERS[0], NODE_MESH, 22, 80, 5432)) == [True, True, True]
    ports = (22, 443, 8000, 8100, 80, 5432, 7999, 8101, 53)
    passed = place.outside.knock(tcp(STRANGER, NODE_PUBLIC, *ports))
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
        assert place.outside.knock(udp(STRANGER, NODE_PUBLIC, 53, 54)) == [True, False]


def test_wireguards_port_is_open_to_peers_alone(place: World) -> None:
    place.load(ruleset_of(mesh_of()))
    with place.listening([51820]) as heard:
        assert place.outside.knock(udp(PEER_ENDPOINT, NODE_PUBLIC, 51820)) == [True]
        assert place.outside.knock(udp(STRANGER, NODE_PUBLIC, 51820)) == [False]
    assert [source for source, _port in heard.packets] == [PEER_ENDPOINT]


def test_ssh_is_open_to_its_sources_alone_on_both_families(place: World) -> None:
    sources = ["203.0.113.0/24", f"{OUTSIDE6[0]}/64".replace("::5", "::")]
    place.load(ruleset_of(mesh_of(ssh={"from": sources})))
    assert place.outside.knock(tcp(OFFICE, NODE_PUBLIC, 22)) == [True]
    assert place.outside.knock(tcp(STRANGER, NODE_PUBLIC, 22)) == [False]
    assert place.outside.knock(tcp(OUTSIDE6[0], NODE_PUBLIC6, 22)) == [True]
    assert place.outside.knock(tcp(OUTSIDE6[1], NODE_PUBLIC6, 22)) == [False]
    assert place.mesh.knock(tcp(PEERS[0], NODE_MESH, 22)) == [True]


def test_ssh_may_listen_elsewhere(place: World) -> None:
    place.load(ruleset_of(mesh_of(ssh={"port": 2222})))
    assert place.outside.knock(tcp(STRANGER, NODE_PUBLIC, 2222, 22)) == [True, False]


def test_no_limit_slows_down_ssh(place: World) -> None:
    place.load(ruleset_of(mesh_of()))
    assert all(place.outside.knock(tcp(STRANGER, NODE_PUBLIC, *[22] * 200)))


def test_ping_is_answered_everywhere(place: World) -> None:
    place.load(ruleset_of(mesh_of(policy=[])))
    assert place.outside.knock([Knock("icmp", STRANGER, NODE_PUBLIC, ECHO)]) == [True]
    assert place.outside.knock([Knock("icmp", OUTSIDE6[0], NODE_PUBLIC6, ECHO6)]) == [True]
    assert place.mesh.knock([Knock("icmp", PEERS[0], NODE_MESH, ECHO)]) == [True]


def test_other_icmp_needs_a_rule(place: World) -> None:
    place.load(ruleset_of(mesh_of(policy=[{"from": ["web-1"], "to": ["db"], "allow": ["icmp"]}])))
    assert place.mesh.knock([Knock("icmp", PEERS[0], NODE_MESH, TIMESTAMP)]) == [True]
    assert place.mesh.knock([Knock("icmp", PEERS[1], NODE_MESH, TIMESTAMP)]) == [False]
    assert place.outside.knock([Knock("icmp", STRANGER, NODE_PUBLIC, TIMESTAMP)]) == [False]


def test_leases_can_be_renewed_from_a_server_nearby(place: World) -> None:
    place.load(ruleset_of(mesh_of()))
    with place.listening([68]):
        near, forged = (Knock("udp", NEXT_HOP, NODE_PUBLIC, 68, sport=sport) for sport in (67, 6767))
        far = Knock("udp", STRANGER, NODE_PUBLIC, 68, sport=67)
        assert place.outside.knock([near, forged, far]) == [True, False, False]


def test_an_answer_to_ones_own_question_for_a_lease_comes_from_anywhere(place: World) -> None:
    place.load(ruleset_of(mesh_of()))
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
    place.load(ruleset_of(mesh_of(db={"public": ["tcp/443"]}, policy=POLICY)))
    knocks = [
        knock for source in PEERS for knock in [*tcp(source, NODE_MESH, *TCP), *udp(source, NODE_MESH, *UDP)]
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
    place.load(ruleset_of(mesh_of(policy=[], ssh={"from": ["203.0.113.0/24", PEERS[1]]})))
    assert place.mesh.knock([*tcp(PEERS[0], NODE_MESH, 22), *tcp(PEERS[1], NODE_MESH, 22)]) == [False, True]
    assert place.outside.knock(tcp(OFFICE, NODE_PUBLIC, 22)) == [True]


def test_nobody_plays_the_mesh_from_outside_and_nobody_outside_comes_through_it(place: World) -> None:
    place.load(ruleset_of(mesh_of(db={"public": ["udp/53"]})))
    with place.listening([53]) as heard:
        # a member's address on the underlay; one nobody has; the overlay address asked from outside
        place.outside.knock(udp(PEERS[0], NODE_PUBLIC, 53))
        place.outside.knock(udp("10.10.0.250", NODE_PUBLIC, 53))
        place.outside.knock(udp(STRANGER, NODE_MESH, 53))
        place.mesh.knock(udp("10.99.0.1", NODE_MESH, 53))
        assert place.outside.knock(udp(STRANGER, NODE_PUBLIC, 53)) == [True]
    assert heard.packets == [(STRANGER, 53)]


def test_nobody_plays_the_mesh_from_outside_by_ipv6_either(place: World) -> None:
    both: dict[str, Any] = {"cidr6": "fd00:10::/64", "db": {"public": ["udp/53"], "address6": NODE_MESH6}}
    place.load(ruleset_of(mesh_of(**both)))
    with place.listening([53]) as heard:
        # first, so that each side knows its neighbour
        assert place.outside.knock(udp(OUTSIDE6[0], NODE_PUBLIC6, 53)) == [True]
        assert place.mesh.knock(udp(PEER6, NODE_MESH6, 53)) == [True]
        place.outside.knock(udp("fd00:10::250", NODE_PUBLIC6, 53))
        place.outside.knock(udp(OUTSIDE6[0], NODE_MESH6, 53))
        place.mesh.knock(udp("fd00:11::1", NODE_MESH6, 53))
    assert heard.packets == [(OUTSIDE6[0], 53), (PEER6, 53)]
    place.load("table inet wgmesh\ndelete table inet wgmesh\n")
    with place.listening([53]) as heard:
        place.outside.knock(udp(OUTSIDE6[0], NODE_MESH6, 53))
        place.mesh.knock(udp("fd00:11::1", NODE_MESH6, 53))
    assert len(heard.packets) == 2, "without our rules these packets arrive"


def test_nothing_comes_through_the_tunnel_by_ipv6(place: World) -> None:
    place.load("table inet wgmesh\ndelete table inet wgmesh\n")
    assert place.mesh.knock(tcp(PEER6, NODE_MESH6, 22)) == [True]
    place.load(ruleset_of(mesh_of()))
    assert place.mesh.knock(tcp(PEER6, NODE_MESH6, 22)) == [False]


def test_a_node_talks_to_itself_by_each_of_its_addresses(place: World) -> None:
    place.load(ruleset_of(mesh_of(policy=[], ssh={"from": [OFFICE]})))
    for address in ("127.0.0.1", NODE_MESH, NODE_PUBLIC, "::1"):
        assert place.node.knock(tcp(address, address, 5432)) == [True]


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
            place.load(ruleset_of(mesh_of(db={"public": [f"tcp/{80 + index}"]})))
        after = [place.node.run("nft", "-a", "list", "table", *name.split()) for name in tables]
    finally:
        place.load("".join(f"delete table {name}\n" for name in tables))
    assert before == after
    assert "192.0.2.66" in before[1]


def test_nothing_is_left_of_the_ruleset_before(place: World) -> None:
    one, other = ruleset_of(mesh_of(policy=POLICY, db=TRUSTED)), ruleset_of(mesh_of())
    place.load(other)
    fresh = place.node.run("nft", "-s", "list", "ruleset")
    place.load(one)
    place.load(other)
    assert place.node.run("nft", "-s", "list", "ruleset") == fresh
