from pathlib import Path

import pytest

from mesh.host.files.document import parse_document
from mesh.host.files.generation import Generation, as_generation
from mesh.host.live.foreign import Ruleset
from mesh.host.places import Places
from mesh.host.system.session import Session
from mesh.host.trial.knocks import (
    Behind,
    Door,
    egress_knocks,
    forwarded_knocks,
    mesh_knocks,
    ssh_knocks,
    wireguard_knocks,
)
from mesh.host.trial.packets import try_packets
from mesh.host.tunnel import WG0
from tests.unit.meshes import documents_of, plan_of

PUBLIC, PUBLIC6 = Door("eth0", "198.51.100.1"), Door("eth0", "2001:db8:1::1")
SESSION = Session("203.0.113.9", "198.51.100.1", 22, "eth0")
NODES = {
    "web-1": {"address": "10.10.0.1", "groups": ["web"]},
    "web-2": {"address": "10.10.0.2", "groups": ["web"]},
    "db-1": {"address": "10.10.0.11"},
}


def generation(**mesh: object) -> Generation:
    text = documents_of(plan_of({"cidr": "10.10.0.0/24", "nodes": NODES, **mesh}))["db-1"]
    document = parse_document(text.encode())
    return as_generation(Places(Path("/nowhere")), document)


needs_root = pytest.mark.skipif("os.geteuid() != 0", reason="network namespaces need root")


@needs_root
def test_ssh_is_tried_from_every_declared_source_of_both_families_and_a_strangers() -> None:
    asked = generation(ssh={"from": ["203.0.113.0/24", "2001:db8:40::7"]})
    knocks = ssh_knocks(asked, [PUBLIC, PUBLIC6], 22, SESSION)
    assert [(knock.source, knock.welcome) for knock in knocks] == [
        ("203.0.113.9", True),
        ("203.0.113.0", True),
        ("203.0.113.255", True),
        ("192.0.2.77", False),
        ("2001:db8:40::7", True),
        ("2001:db8::77", False),
    ]
    assert {knock.door for knock in knocks} == {PUBLIC, PUBLIC6}


@needs_root
def test_wireguard_is_tried_from_every_peers_endpoint() -> None:
    knocks = wireguard_knocks(generation(), [PUBLIC, PUBLIC6])
    assert len(knocks) == 2
    assert all((knock.protocol, knock.port, knock.source_port) == ("udp", 51820, 51820) for knock in knocks)


@needs_root
def test_a_peer_without_an_endpoint_is_tried_from_anywhere() -> None:
    caller = {"address": "10.10.0.1", "groups": ["web"], "endpoint": "none"}
    nodes = {**NODES, "web-1": caller}
    asked = generation(nodes=nodes)
    knocks = wireguard_knocks(asked, [PUBLIC, PUBLIC6])
    assert [(knock.source, knock.port, knock.welcome) for knock in knocks] == [
        ("192.0.2.77", 51820, True),
        ("2001:db8::77", 51820, True),
        ("192.0.0.2", 51820, True),
    ]
    tried = try_packets(WG0, knocks, [], asked.firewall)
    assert tried is not None
    assert tried.failed() == []
    lines = asked.firewall.splitlines(keepends=True)
    closed = "".join(line for line in lines if "from peers without an endpoint" not in line)
    tried = try_packets(WG0, knocks, [], closed)
    assert tried is not None
    assert [knock.source for knock in tried.failed()] == ["192.0.2.77", "2001:db8::77"]


@needs_root
def test_who_gives_egress_is_a_member_and_the_internet_is_none() -> None:
    nodes: dict[str, object] = {
        "web-1": {"address": "10.10.0.1", "publicIpv6": True},
        "web-2": {"address": "10.10.0.2", "publicIpv6": True},
        "db-1": {"address": "10.10.0.11", "publicIpv4": False, "publicIpv6": True, "egress": "web-1"},
    }
    asked = generation(nodes=nodes)
    knocks = mesh_knocks(WG0, asked)
    assert {knock.source for knock in knocks} == {"10.10.0.1", "10.10.0.2"}
    tried = try_packets(WG0, knocks, [], asked.firewall)
    assert tried is not None
    assert tried.failed() == []


# As Docker does: what it does not know, it drops.
_DROPS = """
table ip filter {
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        oifname "docker0" accept
    }
}
"""


@needs_root
def test_a_firewall_that_drops_what_goes_out_to_the_internet_is_found() -> None:
    six = {"address": "10.10.0.1", "publicIpv4": False, "publicIpv6": True, "egress": "db-1"}
    asked = generation(nodes={"six": six, "db-1": {"address": "10.10.0.11", "publicIpv6": True}})
    doors = [PUBLIC, PUBLIC6]
    out = egress_knocks(WG0, asked, doors)
    assert [(knock.source, knock.door) for knock in out] == [("10.10.0.1", Door("wg0", "10.10.0.11"))]
    knocks = [*ssh_knocks(asked, doors, 22, SESSION), *wireguard_knocks(asked, doors), *out]
    tried = try_packets(WG0, knocks, [], asked.firewall)
    assert tried is not None
    assert tried.failed() == []
    tried = try_packets(WG0, knocks, [Ruleset("table ip filter", ("nft", "-f", "-"), _DROPS)], asked.firewall)
    assert tried is not None
    assert tried.failed() == out
    assert "FORWARD" in tried.stopped_by[out[0]]
    assert egress_knocks(WG0, generation(), doors) == []


@needs_root
def test_through_the_tunnel_what_the_policy_allows_is_tried() -> None:
    policy = [
        {"from": ["web-1"], "to": ["db-1"], "allow": ["tcp/5432", "udp/100-110"]},
        {"from": ["web-2"], "to": ["db-1"], "allow": ["all"]},
    ]
    tried = {
        (knock.source, knock.protocol, knock.port) for knock in mesh_knocks(WG0, generation(policy=policy))
    }
    assert {("10.10.0.1", "tcp", 5432), ("10.10.0.1", "udp", 100)} <= tried
    assert {source for source, protocol, port in tried if port == 49137} == {"10.10.0.2"}
    assert not [port for source, protocol, port in tried if source == "10.10.0.1" and port not in (5432, 100)]
    without = {knock.source for knock in mesh_knocks(WG0, generation())}
    assert without == {"10.10.0.1", "10.10.0.2"}


@needs_root
def test_through_the_tunnel_both_families_are_tried_each_at_its_own_address() -> None:
    policy = [
        {"from": ["web-1"], "to": ["db-1"], "allow": ["tcp/5432"]},
        {"from": ["web-2"], "to": ["db-1"], "allow": ["all"]},
    ]
    for mesh in ({"policy": policy}, {}):
        knocks = mesh_knocks(WG0, generation(cidr6="fd00:10::/64", **mesh))
        assert {(knock.source, knock.door.address) for knock in knocks} == {
            ("10.10.0.1", "10.10.0.11"),
            ("10.10.0.2", "10.10.0.11"),
            ("fd00:10::1", "fd00:10::b"),
            ("fd00:10::2", "fd00:10::b"),
        }
        assert bool(mesh) == (("fd00:10::1", 5432) in {(knock.source, knock.port) for knock in knocks})


@needs_root
def test_what_is_forwarded_is_of_the_family_of_the_network_behind() -> None:
    knocks = mesh_knocks(WG0, generation(cidr6="fd00:10::/64"))
    behind = Behind("eth1", "10.20.0.1/24", "10.20.0.2")
    assert {each.source for each in forwarded_knocks(knocks, [behind])} == {"10.10.0.1", "10.10.0.2"}
