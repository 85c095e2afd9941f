"""Clients: who has them as peers, what they reach, and what is derived for them."""

from typing import Any

import pytest

from mesh.plan import PlanError, preshared_key
from tests.unit.meshes import ROOT, plan_of

MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "nodes": {"bastion": {"address": "10.10.0.1"}, "web": {"address": "10.10.0.2"}},
    "clients": {"laptop": {"address": "10.10.0.200", "to": ["bastion"], "groups": ["people"]}},
}
RULES = [{"from": ["people"], "to": ["bastion", "web"], "allow": ["tcp/443"]}]


def test_only_the_nodes_that_a_client_calls_have_it_as_a_peer() -> None:
    plan = plan_of(MESH)
    (peer,) = [peer for peer in plan.nodes["bastion"].peers if peer.calls]
    assert (peer.name, [str(each) for each in peer.allowed_ips], peer.keepalive) == (
        "laptop", ["10.10.0.200/32"], 0
    )  # fmt: skip
    assert [peer.name for peer in plan.nodes["web"].peers] == ["bastion"]
    (node,) = plan.clients["laptop"].peers
    assert (node.name, [str(each) for each in node.allowed_ips]) == ("bastion", ["10.10.0.1/32"])
    one, other = plan.clients["laptop"].oldest_name, node.oldest_name
    assert preshared_key(ROOT, one, other, 1) == preshared_key(ROOT, node.oldest_name, peer.oldest_name, 1)


def test_a_client_that_is_not_enabled_is_nobodys_peer() -> None:
    out = {**MESH["clients"]["laptop"], "enabled": False}
    plan = plan_of({**MESH, "clients": {"laptop": out}})
    assert not any(peer.calls for peer in plan.nodes["bastion"].peers)
    assert plan.clients["laptop"].peers == ()


def test_a_rule_lets_a_client_in_only_where_the_client_has_a_tunnel() -> None:
    plan = plan_of({**MESH, "policy": RULES})
    sources = {name: [each.source for each in node.access.ingress or ()] for name, node in plan.nodes.items()}
    assert sources == {"bastion": ["laptop"], "web": []}


def test_all_in_a_rule_is_no_client() -> None:
    rules = [{"from": ["all"], "to": ["all"], "allow": ["all"]}]
    plan = plan_of({**MESH, "policy": rules})
    assert [each.source for each in plan.nodes["bastion"].access.ingress or ()] == ["web"]


@pytest.mark.parametrize(
    ("target", "expect", "said"),
    [
        ("bastion", "deny", "laptop may reach bastion on tcp/443: mesh.policy[0] allows it"),
        ("web", "allow", "laptop has no tunnel to web (mesh.clients.laptop.to)"),
    ],
)
def test_tests_of_the_policy_know_clients(target: str, expect: str, said: str) -> None:
    test = {"from": "people", "to": target, "port": "tcp/443", "expect": expect}
    with pytest.raises(PlanError) as failed:
        plan_of({**MESH, "policy": RULES, "policyTests": [test]})
    assert said in str(failed.value)
