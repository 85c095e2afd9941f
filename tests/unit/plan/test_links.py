"""Links: who is whose peer, what the policy comes to, and which of its tests fail."""

from typing import Any

import pytest

from mesh.plan import PlanError
from mesh.settings import parse_settings, warnings_of
from tests.unit.meshes import plan_of

NODES: dict[str, Any] = {
    "web-1": {"address": "10.10.0.1", "groups": ["web"]},
    "web-2": {"address": "10.10.0.2", "groups": ["web"]},
    "db-1": {"address": "10.10.0.11", "groups": ["db"]},
    "bastion": {"address": "10.10.0.20"},
}
LINKS = [["web", "db"], ["all", "bastion"]]


def _mesh(**keys: Any) -> dict[str, Any]:
    return {"cidr": "10.10.0.0/24", "nodes": NODES, "links": LINKS, **keys}


def _peers(mesh: dict[str, Any]) -> dict[str, list[str]]:
    return {name: [peer.name for peer in node.peers] for name, node in plan_of(mesh).nodes.items()}


def test_only_linked_nodes_are_peers_of_each_other() -> None:
    assert _peers(_mesh()) == {
        "web-1": ["db-1", "bastion"],
        "web-2": ["db-1", "bastion"],
        "db-1": ["web-1", "web-2", "bastion"],
        "bastion": ["web-1", "web-2", "db-1"],
    }


def test_a_link_within_a_group_is_between_its_nodes() -> None:
    assert _peers(_mesh(links=[["web", "web"], ["db", "bastion"]])) == {
        "web-1": ["web-2"],
        "web-2": ["web-1"],
        "db-1": ["bastion"],
        "bastion": ["db-1"],
    }


def test_the_outputs_get_whom_a_node_reaches_whether_that_is_enabled_or_not() -> None:
    nodes = {**NODES, "web-2": {**NODES["web-2"], "enabled": False}}
    plan = plan_of(_mesh(nodes=nodes))
    assert plan.nodes["db-1"].reaches == ("bastion", "web-1", "web-2")
    assert plan.nodes["web-1"].reaches == ("bastion", "db-1")
    assert [peer.name for peer in plan.nodes["db-1"].peers] == ["web-1", "bastion"]
    assert {node.reaches for node in plan_of({"cidr": "10.10.0.0/24", "nodes": NODES}).nodes.values()} == {
        None
    }


def test_a_rule_lets_in_linked_nodes_alone() -> None:
    policy = [{"from": ["all"], "to": ["all"], "allow": ["tcp/80"]}]
    ingress = plan_of(_mesh(policy=policy)).nodes["web-1"].access.ingress
    assert [each.source for each in ingress or ()] == ["db-1", "bastion"]


@pytest.mark.parametrize("policy", [None, [{"from": ["all"], "to": ["all"], "allow": ["all"]}]])
def test_a_test_that_expects_what_no_link_carries_fails_and_names_both(policy: Any) -> None:
    tests = [{"from": "web", "to": "web", "port": "tcp/80", "expect": "allow"}]
    mesh = _mesh(policyTests=tests, **({} if policy is None else {"policy": policy}))
    with pytest.raises(PlanError) as error:
        plan_of(mesh)
    assert (
        "mesh.policyTests[0]: expected allow, but web-1 may not reach web-2 on tcp/80: mesh.links has no "
        "link between web-1 and web-2; add [web-1, web-2] to links, or change the test" in str(error.value)
    )
    plan_of({**mesh, "policyTests": [{**tests[0], "expect": "deny"}]})


def test_a_rule_that_names_a_pair_without_a_link_is_warned_of() -> None:
    policy = [
        {"from": ["web"], "to": ["web", "db"], "allow": ["tcp/80"]},
        {"from": ["all"], "to": ["web"], "allow": ["tcp/22"]},
        {"from": ["web"], "to": ["db"], "allow": ["tcp/5432"]},
    ]
    (told,) = warnings_of(parse_settings(_mesh(policy=policy)))
    assert str(told) == (
        "mesh.policy: policy[0] lets web-1 reach web-2 and 1 more pair, but links has no link between them: "
        "nothing passes; add [web-1, web-2] to links, or name fewer nodes in the rule"
    )
    without = {key: value for key, value in _mesh(policy=policy).items() if key != "links"}
    assert warnings_of(parse_settings(without)) == ()
