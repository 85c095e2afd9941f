"""What a plan says of losses and of failed tests of the policy, in rarer cases."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from mesh.plan import NetworkPlan, PlanError
from mesh.plan.dangers import Before, Loss, dangers, refused
from mesh.plan.links import plan_links
from mesh.settings import parse_settings
from tests.unit.meshes import plan_of

A: dict[str, Any] = {"address": "10.10.0.1"}
B: dict[str, Any] = {"address": "10.10.0.2"}


def _mesh(**more: Any) -> dict[str, Any]:
    return {"cidr": "10.10.0.0/24", "nodes": {"a": A, "b": B}, **more}


def test_a_node_in_a_private_network_has_the_network_with_all_that_the_cloud_needs() -> None:
    networks = {"lan": {"cidr": "10.0.0.0/16", "existing": True, "zone": "us-east"}}
    node = {**A, "network": "lan", "networkAddress": "10.0.0.11"}
    plan = plan_of(_mesh(nodes={"a": node, "b": B}, networks=networks))
    assert plan.nodes["a"].network == NetworkPlan(
        name="lan",
        cidr=IPv4Network("10.0.0.0/16"),
        existing=True,
        zone="us-east",
        address=IPv4Address("10.0.0.11"),
    )
    assert plan.nodes["b"].network is None


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        (1, "10.30.0.0/16"),
        (3, "10.30.0.0/16, 10.31.0.0/16, 10.32.0.0/16"),
        (4, "10.30.0.0/16, 10.31.0.0/16, 10.32.0.0/16 and 1 more"),
        (6, "10.30.0.0/16, 10.31.0.0/16, 10.32.0.0/16 and 3 more"),
    ],
)
def test_of_many_networks_that_are_lost_three_are_named_and_the_rest_is_counted(lost: int, told: str) -> None:
    was = Before(loss=Loss(), address="10.10.0.1", routes=tuple(f"10.{30 + n}.0.0/16" for n in range(lost)))
    assert dangers(plan_of(_mesh()), {"a": was}) == {
        "a": f"a is no longer the way to {told} (routes): connections of other nodes to hosts there end"
    }


def test_every_protected_node_that_loses_something_is_refused_with_all_that_it_loses() -> None:
    gone = Loss(protected=True)
    both = Loss(protected=True, gives_back=("loses 192.0.2.7", "loses 2001:db8::7"))
    found = refused(plan_of(_mesh()), {"z": Before(loss=gone), "a": Before(loss=both)})
    assert [str(problem).partition(". To ")[0] for problem in found] == [
        "mesh.nodes.z: is protected, but not in the stack file any more: its server is deleted with its disk",
        "mesh.nodes.a: is protected, but loses 192.0.2.7; it loses 2001:db8::7",
    ]


def _failed(mesh: dict[str, Any]) -> list[tuple[str, Any]]:
    with pytest.raises(PlanError) as failed:
        plan_of(mesh)
    return [(str(problem), problem.place) for problem in failed.value.problems]


def test_a_test_that_fails_without_a_policy_says_who_reaches_whom() -> None:
    clients = {"laptop": {"address": "10.10.0.200", "to": ["a"]}}
    port = {"port": "tcp/22", "expect": "deny"}
    tests = [{"from": "laptop", "to": "a", **port}, {"from": "b", "to": "a", **port}]
    assert _failed(_mesh(clients=clients, policyTests=tests)) == [
        (
            (
                "mesh.policyTests[0]: expected deny, but laptop may reach a on tcp/22: there is no policy, "
                "so every client reaches its nodes; write a policy, or change the test"
            ),
            ("policyTests", 0),
        ),
        (
            (
                "mesh.policyTests[1]: expected deny, but b may reach a on tcp/22: there is no policy, so "
                "every node reaches every other node; write a policy, or change the test"
            ),
            ("policyTests", 1),
        ),
    ]


def test_a_test_of_a_client_is_about_the_tunnel_only_where_there_is_none() -> None:
    clients = {"laptop": {"address": "10.10.0.200", "to": ["a"]}}
    test = {"from": "laptop", "port": "tcp/5432", "expect": "allow"}
    rules = [{"from": ["laptop"], "to": ["a"], "allow": ["tcp/1"]}]
    tests = [{**test, "to": "a"}, {**test, "to": "b"}]
    said = [text for text, _ in _failed(_mesh(clients=clients, policy=rules, policyTests=tests))]
    assert [each.rpartition("; ")[2] for each in said] == [
        "change a rule, or the test",
        "add b to mesh.clients.laptop.to, or change the test",
    ]


def test_what_is_behind_a_node_reaches_that_node_without_the_mesh_and_other_nodes_by_a_rule() -> None:
    nodes = {"a": {**A, "routes": ["10.20.0.0/16", "10.30.0.0/16"]}, "b": B}
    rules = [{"from": ["b"], "to": ["10.20.0.0/16"], "allow": ["tcp/1"]}]
    port = {"port": "tcp/443"}
    tests = [
        {"from": "a", "to": "10.20.0.0/16", **port, "expect": "deny"},
        {"from": "b", "to": "10.20.0.0/16", **port, "expect": "allow"},
    ]
    said = [text for text, _ in _failed(_mesh(nodes=nodes, policy=rules, policyTests=tests))]
    assert [each.partition(" on tcp/443: ")[2].partition(";")[0] for each in said] == [
        "10.20.0.0/16 behind a is reached from there without the mesh",
        "no rule of mesh.policy allows it",
    ]


def test_only_linked_nodes_behind_nat_have_a_relay() -> None:
    nodes = {
        "hub": {"address": "10.10.0.1", "groups": ["all-nat"]},
        "x": {"address": "10.10.0.2", "endpoint": "none", "relay": "hub", "groups": ["nat"]},
        "y": {"address": "10.10.0.3", "endpoint": "none", "groups": ["nat"]},
        "z": {"address": "10.10.0.4", "endpoint": "none"},
    }
    links = plan_links(parse_settings(_mesh(nodes=nodes, links=[["hub", "all"], ["x", "y"]])))
    assert links.relay("y", "x") == "hub"
    assert (links.relay("x", "z"), links.relay("x", "hub")) == (None, None)
    assert set(links.over("x", "hub")) == {"y"}
    assert tuple(links.over("z", "hub")) == ()
