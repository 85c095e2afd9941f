import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mesh.program.machines.hetzner.firewalls import firewall_of
from mesh.program.machines.hetzner.groups import group_of
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
