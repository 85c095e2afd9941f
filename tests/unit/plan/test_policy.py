from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.plan import Ingress, PlanError
from tests.unit.meshes import documents_of, plan_of

NODES: dict[str, Any] = {
    "web-1": {"address": "10.10.0.1", "groups": ["web"]},
    "web-2": {"address": "10.10.0.2", "groups": ["web"]},
    "db-1": {"address": "10.10.0.11", "groups": ["db"]},
}


def _rule(source: str, target: str, *allow: str) -> dict[str, Any]:
    return {"from": [source], "to": [target], "allow": list(allow)}


def _mesh(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"cidr": "10.10.0.0/24", "nodes": NODES, "policy": list(rules), **more}


def _words(ingress: tuple[Ingress, ...] | None) -> list[str] | None:
    if ingress is None:
        return None
    return [
        f"{each.source}: "
        + " ".join(
            [
                *(["all"] if each.everything else []),
                *(["icmp"] if each.icmp else []),
                *map(str, each.ports),
            ]
        )
        for each in ingress
    ]


def test_without_a_policy_nothing_is_held_back() -> None:
    plan = plan_of({"cidr": "10.10.0.0/24", "nodes": NODES})
    assert {node.access.ingress for node in plan.nodes.values()} == {None}


def test_an_empty_policy_lets_nothing_in() -> None:
    assert [_words(node.access.ingress) for node in plan_of(_mesh()).nodes.values()] == [[], [], []]


def test_only_what_a_rule_names_comes_in_and_only_at_its_end() -> None:
    plan = plan_of(_mesh(_rule("web", "db", "tcp/5432")))
    assert _words(plan.nodes["db-1"].access.ingress) == ["web-1: tcp/5432", "web-2: tcp/5432"]
    assert _words(plan.nodes["web-1"].access.ingress) == []


def test_rules_add_up_and_ports_that_touch_are_joined() -> None:
    plan = plan_of(
        _mesh(
            _rule("web", "db", "tcp/5432", "udp/53"),
            _rule("web-2", "db", "tcp/5433-5440", "tcp/80"),
            _rule("web-2", "all", "tcp/5438-5450", "icmp"),
        )
    )
    assert _words(plan.nodes["db-1"].access.ingress) == [
        "web-1: tcp/5432 udp/53",
        "web-2: icmp tcp/80 tcp/5432-5450 udp/53",
    ]


def test_all_swallows_the_rest() -> None:
    plan = plan_of(_mesh(_rule("web-1", "db", "tcp/1"), _rule("web-1", "all", "all")))
    assert _words(plan.nodes["db-1"].access.ingress) == ["web-1: all"]
    assert _words(plan.nodes["web-2"].access.ingress) == ["web-1: all"]
    assert _words(plan.nodes["web-1"].access.ingress) == []


def test_a_disabled_node_may_do_nothing() -> None:
    nodes = {**NODES, "web-2": {**NODES["web-2"], "enabled": False}}
    plan = plan_of({**_mesh(_rule("web", "db", "tcp/5432")), "nodes": nodes})
    assert _words(plan.nodes["db-1"].access.ingress) == ["web-1: tcp/5432"]


def _test(source: str, target: str, port: str, expect: str) -> dict[str, str]:
    return {"from": source, "to": target, "port": port, "expect": expect}


def _failures(mesh: dict[str, Any]) -> list[str]:
    with pytest.raises(PlanError) as error:
        plan_of(mesh)
    return str(error.value).splitlines()


def test_tests_that_hold_are_silent() -> None:
    plan_of(
        _mesh(
            _rule("web", "db", "tcp/5000-6000"),
            policyTests=[
                _test("web", "db", "tcp/5432", "allow"),
                _test("db", "web", "tcp/5432", "deny"),
                _test("web", "db", "udp/5432", "deny"),
                _test("web", "web", "tcp/22", "deny"),
                _test("all", "web", "tcp/22", "deny"),
            ],
        )
    )


def test_every_test_that_fails_is_told_with_what_decided() -> None:
    assert _failures(
        _mesh(
            _rule("db", "web", "all"),
            _rule("web", "db", "tcp/5432", "icmp"),
            policyTests=[
                _test("web-1", "db-1", "tcp/5432", "deny"),
                _test("web", "db", "tcp/5433", "allow"),
                _test("web", "db", "tcp/5432", "allow"),
                _test("db", "web", "udp/1", "deny"),
            ],
        )
    ) == [
        "3 tests of the policy failed; nothing was changed:",
        (
            "  mesh.policyTests[0]: expected deny, but web-1 may reach db-1 on tcp/5432: "
            "mesh.policy[1] allows it (from web to db: tcp/5432, icmp); change what allows it, or the test"
        ),
        (
            "  mesh.policyTests[1]: expected allow, but web-1 may not reach db-1 on tcp/5433: "
            "no rule of mesh.policy allows it; change a rule, or the test"
        ),
        (
            "  mesh.policyTests[3]: expected deny, but db-1 may reach web-1 on udp/1: "
            "mesh.policy[0] allows it (from db to web: all); change what allows it, or the test"
        ),
    ]


def test_without_a_policy_every_deny_fails_and_says_why() -> None:
    mesh = {
        "cidr": "10.10.0.0/24",
        "nodes": NODES,
        "policyTests": [_test("web-1", "db", "tcp/1", "deny"), _test("web-1", "db", "tcp/1", "allow")],
    }
    assert _failures(mesh) == [
        "1 test of the policy failed; nothing was changed:",
        (
            "  mesh.policyTests[0]: expected deny, but web-1 may reach db-1 on tcp/1: "
            "there is no policy, so every node reaches every other node; write a policy, or change the test"
        ),
    ]


def test_ssh_sources_inside_the_mesh_count_as_a_rule() -> None:
    mesh = _mesh(
        ssh={"from": ["10.10.0.1", "203.0.113.0/24"]},
        policyTests=[_test("web-1", "db", "tcp/22", "deny"), _test("web-2", "db", "tcp/22", "deny")],
    )
    assert _failures(mesh)[1:] == [
        (
            "  mesh.policyTests[0]: expected deny, but web-1 may reach db-1 on tcp/22: "
            "mesh.ssh.from allows it (10.10.0.1/32); change what allows it, or the test"
        )
    ]


def test_a_rule_counts_before_an_ssh_source_and_is_named_with_all_its_names() -> None:
    rule = {"from": ["db", "web-1"], "to": ["db-1", "web"], "allow": ["udp/1", "tcp/20-30"]}
    mesh = _mesh(
        _rule("web-2", "db", "tcp/22"),
        rule,
        ssh={"from": ["10.10.0.0/30"]},
        policyTests=[
            _test("web-1", "db", "tcp/22", "deny"),
            _test("all", "db", "tcp/22", "deny"),
            _test("web-2", "web-1", "tcp/22", "deny"),
            _test("web-2", "web-1", "udp/22", "allow"),
        ],
    )
    change = "; change what allows it, or the test"
    told = "expected deny, but web-1 may reach db-1 on tcp/22: mesh.policy[1] allows it"
    assert _failures(mesh) == [
        "4 tests of the policy failed; nothing was changed:",
        f"  mesh.policyTests[0]: {told} (from db, web-1 to db-1, web: udp/1, tcp/20-30){change}",
        f"  mesh.policyTests[1]: {told} (from db, web-1 to db-1, web: udp/1, tcp/20-30){change}",
        (
            "  mesh.policyTests[2]: expected deny, but web-2 may reach web-1 on tcp/22: mesh.ssh.from allows "
            f"it (10.10.0.0/30){change}"
        ),
        (
            "  mesh.policyTests[3]: expected allow, but web-2 may not reach web-1 on udp/22: no rule of "
            "mesh.policy allows it; change a rule, or the test"
        ),
    ]


def test_the_first_pair_that_fails_is_told_by_name() -> None:
    mesh = _mesh(_rule("web-1", "db", "tcp/1"), policyTests=[_test("all", "all", "tcp/1", "allow")])
    assert _failures(mesh)[1] == (
        "  mesh.policyTests[0]: expected allow, but db-1 may not reach web-1 on tcp/1: no rule of "
        "mesh.policy allows it; change a rule, or the test"
    )
    mesh = _mesh(_rule("db", "web-1", "tcp/1"), policyTests=[_test("all", "web", "tcp/1", "allow")])
    assert "but db-1 may not reach web-2 on" in _failures(mesh)[1]


def test_ssh_sources_open_ssh_alone_and_only_to_their_addresses() -> None:
    plan_of(
        _mesh(
            ssh={"from": ["10.10.0.1"], "port": 2222},
            policyTests=[
                _test("web-1", "db", "tcp/2222", "allow"),
                _test("web-1", "db", "tcp/22", "deny"),
                _test("web-1", "db", "udp/2222", "deny"),
                _test("web-2", "db", "tcp/2222", "deny"),
            ],
        )
    )


def test_icmp_alone_opens_no_port() -> None:
    plan = plan_of(_mesh(_rule("web-1", "db", "icmp"), policyTests=[_test("web-1", "db", "tcp/1", "deny")]))
    assert _words(plan.nodes["db-1"].access.ingress) == ["web-1: icmp"]


def test_icmp_adds_nothing_to_everything() -> None:
    plan = plan_of(_mesh(_rule("web-1", "db", "icmp"), _rule("web", "db", "all")))
    assert _words(plan.nodes["db-1"].access.ingress) == ["web-1: all", "web-2: all"]


def test_who_may_come_in_is_in_the_order_of_addresses() -> None:
    nodes = {"z": {"address": "10.10.0.9"}, "a": {"address": "10.10.0.10"}, "m": {"address": "10.10.0.2"}}
    plan = plan_of({"cidr": "10.10.0.0/24", "nodes": nodes, "policy": [_rule("all", "all", "all")]})
    assert _words(plan.nodes["m"].access.ingress) == ["z: all", "a: all"]
    assert [each.addresses for each in plan.nodes["a"].access.ingress or ()] == [
        (ip_address("10.10.0.2"),),
        (ip_address("10.10.0.9"),),
    ]


def test_taking_a_node_out_does_not_fail_the_tests() -> None:
    tests = [_test("web", "db", "tcp/5432", "allow")]
    for name, node in NODES.items():
        nodes = {**NODES, name: {**node, "enabled": False}}
        plan_of({**_mesh(_rule("web", "db", "tcp/5432"), policyTests=tests), "nodes": nodes})


def test_a_new_member_of_a_group_changes_nothing_but_set_elements() -> None:
    nodes = {**NODES, "web-3": {"address": "10.10.0.3", "groups": ["web"]}}
    mesh = _mesh(_rule("web", "db", "tcp/5432", "udp/53"), _rule("web", "web", "all"))
    before = documents_of(plan_of(mesh))["db-1"].splitlines()
    after = documents_of(plan_of({**mesh, "nodes": nodes}))["db-1"].splitlines()
    firewall = after[after.index("==> /etc/wgmesh/firewall.nft <==") :]
    assert [line for line in before if line not in after] == []
    assert [line.strip() for line in firewall if line not in before] == [
        "192.0.0.3,",
        "10.10.0.3 . 5432, # web-3",
        "10.10.0.3 . 53, # web-3",
        "10.10.0.3 web-3",
    ]


_NAMES = st.sampled_from(["web", "db", "web-1", "web-2", "db-1", "all"])
_PORTS = st.sampled_from(["tcp/1-3", "tcp/2", "tcp/4", "udp/1-65535", "udp/7", "icmp", "all"])
_ALONE = [(["db"], ["db"]), (["db"], ["db-1"]), (["db-1"], ["db"])] + [([name], [name]) for name in NODES]
_RULES = st.lists(
    st.builds(_rule, _NAMES, _NAMES, _PORTS),
    max_size=5,
    unique_by=str,
).map(lambda rules: [rule for rule in rules if (rule["from"], rule["to"]) not in _ALONE])


@given(_RULES, st.sampled_from(["tcp/1", "tcp/3", "tcp/4", "tcp/5", "udp/7"]))
def test_what_nodes_enforce_is_what_tests_evaluate(rules: list[dict[str, Any]], port: str) -> None:
    protocol, number = port.split("/")
    for target, node in plan_of(_mesh(*rules)).nodes.items():
        enforced = {
            each.source
            for each in node.access.ingress or ()
            if each.everything
            or any(p.protocol == protocol and p.first <= int(number) <= p.last for p in each.ports)
        }
        tests = [
            _test(source, target, port, "allow" if source in enforced else "deny")
            for source in NODES
            if source != target
        ]
        plan_of(_mesh(*rules, policyTests=tests))


@given(_RULES)
def test_ports_of_one_source_never_overlap(rules: list[dict[str, Any]]) -> None:
    for node in plan_of(_mesh(*rules)).nodes.values():
        for each in node.access.ingress or ():
            for one, other in zip(each.ports, each.ports[1:], strict=False):
                assert not one.overlaps(other)
                assert (one.protocol, one.last + 1) < (other.protocol, other.first)
