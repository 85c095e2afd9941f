import copy
import random
from dataclasses import replace
from ipaddress import IPv6Network, ip_address, ip_interface, ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mesh.plan import OverlayPlan, PeerPlan
from mesh.plan.mtu import Underlay
from mesh.program.machines.hetzner.firewalls import firewall_of
from mesh.program.machines.hetzner.groups import group_of
from mesh.settings.machines import HetznerMachine
from tests.unit.meshes import THREE, meshes, plan_of


def test_nodes_and_peers_are_in_the_order_of_their_addresses() -> None:
    plan = plan_of(THREE)
    assert list(plan.nodes) == ["web-1", "web-2", "db-1"]
    assert [peer.name for peer in plan.nodes["web-2"].peers] == ["web-1", "db-1"]


def test_one_node_alone_has_no_peers() -> None:
    plan = plan_of({"cidr": "10.10.0.0/24", "nodes": {"only": {"address": "10.10.0.1"}}})
    assert plan.nodes["only"].peers == ()


def test_mtu_is_the_internets_less_wireguards_unless_given() -> None:
    assert plan_of(THREE).nodes["web-1"].overlay.mtu == 1420
    assert plan_of({**THREE, "mtu": 1370}).nodes["web-1"].overlay.mtu == 1370


def test_keepalive_holds_doors_open() -> None:
    assert {peer.keepalive for node in plan_of(THREE).nodes.values() for peer in node.peers} == {25}


def test_a_node_is_planned_as_the_stack_file_says() -> None:
    plan = plan_of(
        {
            **THREE,
            "port": 51999,
            "ssh": {"port": 2222},
            "rollout": {"canary": "web-2"},
            "defaults": {"location": "hel1", "trustedInterfaces": ["docker0"], "metadata": "containers"},
            "nodes": {
                "a": {
                    "address": "10.10.0.7",
                    "type": "cx33",
                    "public": ["udp/53", "tcp/80", "tcp/443"],
                    "trustedInterfaces": ["podman0", "br-*", "podman0"],
                    "metadata": "root",
                    "forward": True,
                },
                "web-2": {"address": "10.10.0.2"},
            },
        }
    )
    assert (plan.ssh_port, plan.canary) == (2222, "web-2")
    node, other = plan.nodes["a"], plan.nodes["web-2"]
    assert (node.name, node.enabled, node.provider) == ("a", True, "hetzner")
    assert node.machine == HetznerMachine(location="hel1", type="cx33")
    assert node.overlay == OverlayPlan(
        interface="wg0", addresses=(ip_interface("10.10.0.7/24"),), port=51999, mtu=1420
    )
    assert [str(port) for port in node.access.public] == ["tcp/80", "tcp/443", "udp/53"]
    assert node.access.ssh_port == 2222
    assert (node.access.trusted_interfaces, other.access.trusted_interfaces) == (
        ("br-*", "podman0"),
        ("docker0",),
    )
    assert (node.access.metadata, other.access.metadata) == ("root", "containers")
    assert (node.access.forward, other.access.forward) == (True, False)


def test_a_peer_is_known_by_its_one_address() -> None:
    (peer, _) = plan_of(THREE).nodes["db-1"].peers
    assert peer == PeerPlan(
        name="web-1",
        oldest_name="web-1",
        addresses=(ip_address("10.10.0.1"),),
        allowed_ips=(ip_network("10.10.0.1/32"),),
        routes=(),
        keepalive=25,
        mtu=1420,
        preshared_epoch=1,
        underlay=Underlay(mtu=1500, overhead=80),
    )


def test_a_renamed_node_is_known_by_its_name_and_its_keys_are_made_with_the_oldest() -> None:
    raw = copy.deepcopy(THREE)
    raw["nodes"]["front"] = {**raw["nodes"].pop("web-1"), "formerly": ["web-1", "www"]}
    plan = plan_of(raw)
    assert (plan.nodes["front"].former, plan.nodes["front"].oldest_name) == (("web-1", "www"), "web-1")
    assert {peer.name: peer.oldest_name for peer in plan.nodes["db-1"].peers}["front"] == "web-1"
    raw["nodes"]["www"] = raw["nodes"].pop("front")  # and back to a name that it had
    www = plan_of(raw).nodes["www"]
    assert (www.former, www.oldest_name) == (("web-1",), "web-1")


def test_a_node_that_is_not_enabled_has_no_peers_and_is_nobodys_and_keeps_its_place() -> None:
    nodes = {**THREE["nodes"], "web-2": {"address": "10.10.0.2", "enabled": False}}
    plan = plan_of({**THREE, "nodes": nodes})
    assert list(plan.nodes) == ["web-1", "web-2", "db-1"]
    assert not plan.nodes["web-2"].enabled
    assert [[peer.name for peer in node.peers] for node in plan.nodes.values()] == [["db-1"], [], ["web-1"]]
    assert plan.nodes["web-2"].overlay.mtu == 1420


def test_who_may_open_ssh_is_split_into_outside_and_inside_and_nobody_twice() -> None:
    sources = [
        "2001:db8::/33",
        "10.10.0.128/25",
        "203.0.113.128/25",
        "10.10.0.0/25",
        "203.0.113.0/25",
        "10.0.0.0/8",
    ]
    access = (
        plan_of({**THREE, "ssh": {"from": [*sources, "2001:db8:8000::/33", "10.10.0.5"]}})
        .nodes["db-1"]
        .access
    )
    assert [str(network) for network in access.ssh_from] == ["10.0.0.0/8", "203.0.113.0/24", "2001:db8::/32"]
    assert [str(network) for network in access.ssh_mesh] == ["10.10.0.0/24"]


def test_in_both_families_a_node_has_its_host_part_or_its_own_address() -> None:
    mesh: dict[str, Any] = {
        "cidr": "10.10.0.0/16",
        "cidr6": "fd00:10::/64",
        "nodes": {
            "a": {"address": "10.10.0.11"},
            "b": {"address": "10.10.1.0"},
            "c": {"address": "10.10.0.1", "address6": "fd00:10::abc"},
        },
    }
    nodes = plan_of(mesh).nodes
    assert {name: [str(each) for each in node.overlay.addresses] for name, node in nodes.items()} == {
        "c": ["10.10.0.1/16", "fd00:10::abc/64"],
        "a": ["10.10.0.11/16", "fd00:10::b/64"],
        "b": ["10.10.1.0/16", "fd00:10::100/64"],
    }
    assert {name: str(node.overlay.first.ip) for name, node in nodes.items()} == {
        name: node["address"] for name, node in mesh["nodes"].items()
    }
    assert [[str(each) for each in peer.allowed_ips] for peer in nodes["a"].peers] == [
        ["10.10.0.1/32", "fd00:10::abc/128"],
        ["10.10.1.0/32", "fd00:10::100/128"],
    ]


@given(meshes(at_least=2), st.sampled_from(("fd00:10::/64", "fd00:10::/48", "fd00:10::ff00/120")))
def test_ipv6_adds_an_address_to_each_node_and_nothing_else(mesh: dict[str, Any], cidr6: str) -> None:
    one, both = plan_of(mesh), plan_of({**mesh, "cidr6": cidr6})
    found = [node.overlay.address6 for node in both.nodes.values()]
    assert len({*found}) == len(found)
    assert all(own is not None and own in IPv6Network(cidr6) for own in found)
    for name, node in both.nodes.items():
        overlay = replace(node.overlay, addresses=node.overlay.addresses[:1])
        peers = tuple(
            replace(peer, addresses=peer.addresses[:1], allowed_ips=peer.allowed_ips[:1])
            for peer in node.peers
        )
        assert replace(node, overlay=overlay, peers=peers) == one.nodes[name]


def test_who_may_open_ssh_from_inside_is_so_in_either_family() -> None:
    sources = ["203.0.113.0/24", "10.10.0.1", "fd00:10::2", "fd00:10::/65", "2001:db8::/32", "fd00:11::/64"]
    mesh: dict[str, Any] = {
        "cidr": "10.10.0.0/24",
        "ssh": {"from": sources},
        "nodes": {"a": {"address": "10.10.0.1"}, "b": {"address": "10.10.0.2"}},
        "policy": [],
        "policyTests": [{"from": "b", "to": "a", "port": "tcp/22", "expect": "allow"}],
    }
    access = plan_of({**mesh, "cidr6": "fd00:10::/64"}).nodes["a"].access
    assert [str(network) for network in access.ssh_mesh] == ["10.10.0.1/32", "10.10.0.2/32", "fd00:10::/65"]
    outside = ["203.0.113.0/24", "2001:db8::/32", "fd00:11::/64"]
    assert [str(network) for network in access.ssh_from] == outside
    mesh["ssh"]["from"] = ["10.10.0.2"]
    access = plan_of({**mesh, "cidr6": "fd00:10::/64"}).nodes["a"].access
    assert [str(network) for network in access.ssh_mesh] == ["10.10.0.2/32", "fd00:10::2/128"]
    mesh["ssh"]["from"] = ["10.10.0.0/24"]
    access = plan_of({**mesh, "cidr6": "fd00:10::/64"}).nodes["a"].access
    assert [str(network) for network in access.ssh_mesh] == ["10.10.0.0/24", "fd00:10::/64"]
    mesh["ssh"]["from"] = sources
    del mesh["policyTests"]
    access = plan_of(mesh).nodes["a"].access
    assert [str(network) for network in access.ssh_mesh] == ["10.10.0.1/32"]
    assert "fd00:10::/65" in [str(network) for network in access.ssh_from]


def test_keys_that_can_log_in_are_those_of_the_file() -> None:
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMzUfO2eM8tJGiBGGlVUNBsd0JBTcPlvDeIRLGMqLY4o me"
    plan = plan_of({**THREE, "ssh": {"authorizedKeys": [line]}})
    assert {node.access.authorized_keys for node in plan.nodes.values()} == {(line,)}


@given(meshes())
def test_peers_are_mutual_and_never_oneself(mesh: dict[str, Any]) -> None:
    plan = plan_of(mesh)
    for name, node in plan.nodes.items():
        peers = {peer.name for peer in node.peers}
        assert peers == set(plan.nodes) - {name}
        assert all(name in {back.name for back in plan.nodes[peer].peers} for peer in peers)


@given(meshes())
def test_no_two_nodes_share_an_address(mesh: dict[str, Any]) -> None:
    addresses = [node.overlay.first.ip for node in plan_of(mesh).nodes.values()]
    assert len(set(addresses)) == len(addresses)


@given(meshes(), st.randoms(use_true_random=False))
def test_the_order_of_the_stack_file_is_irrelevant(mesh: dict[str, Any], chance: random.Random) -> None:
    names = list(mesh["nodes"])
    chance.shuffle(names)
    shuffled = {**mesh, "nodes": {name: mesh["nodes"][name] for name in names}}
    one, other = plan_of(mesh), plan_of(shuffled)
    assert one == other
    assert list(one.nodes) == list(other.nodes)


@given(meshes(at_least=2))
def test_adding_a_node_moves_nobody(mesh: dict[str, Any]) -> None:
    *rest, added = mesh["nodes"]
    before = plan_of({**mesh, "nodes": {name: mesh["nodes"][name] for name in rest}})
    after = plan_of(mesh)
    for name in rest:
        old, new = before.nodes[name], after.nodes[name]
        assert old.overlay == new.overlay
        assert group_of(old) == group_of(new)
        assert firewall_of(old) == firewall_of(new)
        assert [peer for peer in new.peers if peer.name != added] == list(old.peers)
        assert [peer.addresses for peer in new.peers if peer.name == added] == [
            (after.nodes[added].overlay.first.ip,)
        ]


def test_protection_of_the_mesh_holds_for_every_node_that_says_nothing_else() -> None:
    nodes = {
        "a": {"address": "10.10.0.1"},
        "b": {"address": "10.10.0.2", "protect": False},
        "c": {"address": "10.10.0.3", "protect": True},
    }
    for whole, protected in ((True, {"a", "c"}), (False, {"c"})):
        plan = plan_of({"cidr": "10.10.0.0/24", "protect": whole, "nodes": nodes})
        assert {name for name, node in plan.nodes.items() if node.protect} == protected
