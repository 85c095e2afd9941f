"""Values that are right alone and wrong together: the whole message, with its path, for each."""

from typing import Any

import pytest

from mesh.settings import Settings, SettingsError, parse_settings, warnings_of

ONE: dict[str, Any] = {"address": "10.10.0.1"}
TWO: dict[str, Any] = {"address": "10.10.0.2"}


def _mesh(**more: Any) -> dict[str, Any]:
    return {"cidr": "10.10.0.0/24", "nodes": {"web-1": ONE, "web-2": TWO}, **more}


def _problems(raw: object) -> list[str]:
    with pytest.raises(SettingsError) as error:
        parse_settings(raw)
    return [str(problem) for problem in error.value.problems]


def _warnings(raw: object, **more: Any) -> list[str]:
    settings: Settings = parse_settings(raw)
    return [str(warning) for warning in warnings_of(settings, **more)]


def test_every_later_port_that_overlaps_an_earlier_one_is_told() -> None:
    public = ["tcp/80-90", "tcp/85", "udp/85", "tcp/90-100", "tcp/101"]
    assert _problems(_mesh(nodes={"web-1": {**ONE, "public": public}})) == [
        "mesh.nodes.web-1.public[1]: tcp/85 overlaps tcp/80-90; name each port once; remove this one",
        "mesh.nodes.web-1.public[3]: tcp/90-100 overlaps tcp/80-90; name each port once",
    ]


def test_ports_of_the_mesh_itself_are_not_public_even_when_ssh_cannot_be_read() -> None:
    nodes = {"web-1": {**ONE, "public": ["tcp/22", "udp/53", "udp/51820"]}}
    assert _problems(_mesh(port=53, ssh=5, nodes=nodes)) == [
        (
            "mesh.nodes.web-1.public[0]: tcp/22 includes SSH's port 22; ssh.from has the "
            "allowed sources: remove it"
        ),
        (
            "mesh.nodes.web-1.public[1]: udp/53 includes WireGuard's own port 53; this port is open to peers "
            "anyway: remove it"
        ),
        "mesh.ssh: 5 is not a mapping of keys and values; write for example {from: [203.0.113.0/24]}",
    ]


def test_a_port_of_the_mesh_that_cannot_be_read_hides_no_other_mistake() -> None:
    nodes = {"web-1": {**ONE, "public": ["tcp/22", "udp/51820", "tcp/1", "tcp/1"]}}
    assert _problems(_mesh(nodes=nodes, port="x", ssh={"port": "y"})) == [
        "mesh.nodes.web-1.public[3]: tcp/1 overlaps tcp/1; name each port once; remove this one",
        "mesh.port: 'x' is not a whole number; give a number",
        "mesh.ssh.port: 'y' is not a whole number; give a number",
    ]


def test_a_port_that_cannot_be_read_hides_no_other_and_ssh_has_22_where_nothing_else_is_said() -> None:
    nodes = {"web-1": {**ONE, "public": ["x", "tcp/22"]}}
    assert _problems(_mesh(nodes=nodes, ssh={"from": ["203.0.113.0/24"]})) == [
        (
            "mesh.nodes.web-1.public[0]: 'x' is not a port such as tcp/443, udp/53 or "
            "tcp/8000-8100; write the "
            "protocol, a slash and a number"
        ),
        (
            "mesh.nodes.web-1.public[1]: tcp/22 includes SSH's port 22; ssh.from has the "
            "allowed sources: remove it"
        ),
    ]


def test_a_node_that_forwards_hides_no_other() -> None:
    card = {"trustedInterfaces": ["eth1"]}
    nodes = {"gateway": {**ONE, **card, "forward": True}, "web-2": {**TWO, **card}}
    (problem,) = _problems(_mesh(nodes=nodes))
    assert problem.startswith("mesh.nodes.web-2.trustedInterfaces[0]: eth1 is the usual name of a host's")


def test_what_a_rule_says_twice_or_for_nothing_is_told() -> None:
    rules = [
        {"from": ["web-1", "web-2"], "to": ["web-1"], "allow": ["tcp/1", "tcp/1-2", "udp/1", "icmp"]},
        {"from": ["web-1"], "to": ["web-1", "web-1"], "allow": ["icmp", "all"]},
        {"from": ["web-1"], "to": ["zz"], "allow": ["all"]},
        {"from": ["web-1"], "to": ["zz"], "allow": ["all"]},
        {"from": ["web-1"], "to": ["zz"], "allow": ["all"]},
    ]
    assert _problems(_mesh(policy=rules)) == [
        "mesh.policy[0].allow[1]: tcp/1-2 overlaps tcp/1; name each port once",
        (
            "mesh.policy[1]: matches nothing: both ends are web-1 alone, and a node always reaches itself; "
            "remove the rule, or name another node"
        ),
        "mesh.policy[1].to[1]: web-1 is named twice; remove one",
        "mesh.policy[1].allow[1]: all overlaps icmp; name each port once",
        "mesh.policy[2].to[0]: zz is neither a group nor a node; known are web-1, web-2, all",
        "mesh.policy[3]: says the same as policy[2]; remove one",
        "mesh.policy[3].to[0]: zz is neither a group nor a node; known are web-1, web-2, all",
        "mesh.policy[4]: says the same as policy[2]; remove one",
        "mesh.policy[4].to[0]: zz is neither a group nor a node; known are web-1, web-2, all",
    ]


def test_a_value_of_a_rule_that_cannot_be_read_hides_no_other() -> None:
    rule = {"from": ["Web", "zz", 7, "web-2", "web-2"], "to": ["all"], "allow": ["x", "tcp/1", None, "tcp/1"]}
    assert [problem.partition(": ")[0] for problem in _problems(_mesh(policy=[rule]))] == [
        "mesh.policy[0].from[0]",
        "mesh.policy[0].from[1]",
        "mesh.policy[0].from[2]",
        "mesh.policy[0].from[4]",
        "mesh.policy[0].allow[0]",
        "mesh.policy[0].allow[2]",
        "mesh.policy[0].allow[3]",
    ]


def test_a_rule_or_a_node_that_cannot_be_read_hides_no_other() -> None:
    same = {"from": ["web-1"], "to": ["all"], "allow": ["all"]}
    nodes = {"web-1": {"address": "x"}, "web-2": {"address": "10.10.1.2"}}
    assert _problems(_mesh(nodes=nodes, policy=[{"from": ["web-1"], "to": ["all"]}, same, same])) == [
        (
            "mesh.nodes.web-1.address: 'x' is not an IPv4 address such as 10.10.0.1; give four numbers from "
            "0 to 255, with dots"
        ),
        "mesh.nodes.web-2.address: 10.10.1.2 is outside 10.10.0.0/24; write 10.10.0.2, which is free",
        "mesh.policy[0].allow: is missing and required, such as `allow: [tcp/5432]`",
        "mesh.policy[2]: says the same as policy[1]; remove one",
    ]


def test_a_test_that_cannot_be_read_hides_no_other() -> None:
    tests = [
        5,
        {"from": "all", "to": "web-1", "port": "tcp/1", "expect": "allow"},
        {"from": "web-1", "to": "web-1", "port": "tcp/1", "expect": "allow"},
        {"from": "qq", "to": "pp", "port": "tcp/1", "expect": "allow"},
        {"from": 7, "to": "web-3", "port": "tcp/1", "expect": "allow"},
    ]
    assert _problems(_mesh(policyTests=tests)) == [
        (
            "mesh.policyTests[0]: 5 is not a mapping of keys and values; write for example "
            "{from: web, to: db, "
            "port: tcp/5432, expect: allow}"
        ),
        "mesh.policyTests[2]: tests a node against itself, but this needs no policy; remove the test",
        "mesh.policyTests[3].from: qq is neither a group nor a node; known are web-1, web-2, all",
        "mesh.policyTests[3].to: pp is neither a group nor a node; known are web-1, web-2, all",
        ("mesh.policyTests[4].from: 7 is not text; known are web-1, web-2, all"),
        "mesh.policyTests[4].to: web-3 is neither a group nor a node; did you mean web-2?",
    ]


def test_groups_are_known_before_nodes_and_all_comes_last() -> None:
    nodes = {"web-1": {**ONE, "groups": ["front", "x-y"]}, "web-2": {**TWO, "groups": ["front", 7, "Bad"]}}
    rule = {"from": ["zzz"], "to": ["all"], "allow": ["all"]}
    assert _problems(_mesh(nodes=nodes, policy=[rule]))[-1] == (
        "mesh.policy[0].from[0]: zzz is neither a group nor a node; known are front, x-y, web-1, web-2, all"
    )


def test_a_group_must_not_mean_something_else() -> None:
    nodes = {
        "web-1": {**ONE, "groups": ["web-2", "all", "a", "a", 7, 7]},
        "web-2": TWO,
        "all": {"address": "10.10.0.3"},
    }
    number = "7 is not text; give a name, in quotes if need be: write '7'"
    assert _problems(_mesh(nodes=nodes)) == [
        "mesh.nodes.web-1.groups[0]: web-2 is the name of a node; give the group another name",
        "mesh.nodes.web-1.groups[1]: all means every node in a policy; take another name",
        "mesh.nodes.web-1.groups[3]: 'a' is named twice; remove one",
        f"mesh.nodes.web-1.groups[4]: {number}",
        f"mesh.nodes.web-1.groups[5]: {number}",
        "mesh.nodes.web-1.groups[5]: 7 is named twice; remove one",
        "mesh.nodes.all: means every node in a policy; take another name",
    ]


def test_a_canary_takes_part_and_is_one_of_the_nodes() -> None:
    out = {"web-1": ONE, "web-2": {**TWO, "enabled": False}}
    assert _problems(_mesh(nodes=out, rollout={"canary": "web-2"})) == [
        (
            "mesh.rollout.canary: web-2 is not enabled, so the canary would hold nothing back; name a node "
            "that is enabled"
        )
    ]
    assert _problems(_mesh(rollout={"canary": "zz"})) == [
        "mesh.rollout.canary: zz is no node of this mesh; known are web-1, web-2"
    ]
    assert parse_settings(_mesh(nodes=out, rollout={"canary": "web-1"})).rollout.canary == "web-1"


OWNER = "172.17.0.0/24 overlaps 172.17.0.0/16, which Docker gives to its default bridge"
ANOTHER = "take another network, such as 10.10.0.0/24"
LIKE_OURS = f"packets from docker0 would look like packets of the mesh; {ANOTHER}"


def _in_dockers(*nodes: list[str], **more: Any) -> dict[str, Any]:
    return {
        "cidr": "172.17.0.0/24",
        "nodes": {
            f"n{number}": {"address": f"172.17.0.{number}", "trustedInterfaces": trusted}
            for number, trusted in enumerate(nodes, 1)
        },
        **more,
    }


def test_the_first_node_that_trusts_a_bridge_whose_network_the_mesh_has_is_named() -> None:
    assert _problems(_in_dockers(["br-*"], ["podman0", "docker0"], ["d*"])) == [
        f"mesh.cidr: {OWNER}, and n2 trusts docker0: {LIKE_OURS}"
    ]
    assert _problems(_in_dockers(["d*"])) == [f"mesh.cidr: {OWNER}, and n1 trusts d*: {LIKE_OURS}"]
    defaults = {"trustedInterfaces": ["br-*", "docker*"]}
    assert _problems(_in_dockers(["docker0"], defaults=defaults)) == [
        f"mesh.cidr: {OWNER}, and mesh.defaults trusts docker*: {LIKE_OURS}"
    ]


def test_a_network_of_another_program_is_told_and_not_refused_where_nobody_trusts_its_bridge() -> None:
    assert _warnings(_in_dockers(["br-*"])) == [
        f"mesh.cidr: {OWNER}: a node cannot use both networks; {ANOTHER}"
    ]
    assert _warnings(_in_dockers(["br-*"]), where="prod")[0].startswith("prod.cidr: ")


def test_every_network_that_collides_is_told() -> None:
    told = _warnings({"cidr": "10.0.0.0/8", "nodes": {"a": {"address": "10.0.0.1"}}})
    assert [warning.split(" overlaps ")[1].split(",")[0] for warning in told] == [
        "10.42.0.0/16",
        "10.43.0.0/16",
        "10.244.0.0/16",
        "10.96.0.0/12",
        "10.88.0.0/16",
        "10.0.3.0/24",
    ]


def test_a_lonely_source_and_a_mesh_without_members_are_told() -> None:
    nodes = {"web-1": {**ONE, "enabled": False}, "web-2": {**TWO, "enabled": False}}
    assert _warnings(_mesh(nodes=nodes, ssh={"from": ["203.0.113.7", "10.10.0.0/25"]})) == [
        (
            "mesh.ssh.from: 203.0.113.7 is the only address that may log in: when your address changes, "
            "nobody can log in, and `up` cannot reach the nodes; add a second address, or the network of "
            "this address"
        ),
        "mesh.nodes: all have enabled: false, so no node has a peer",
    ]
    assert _warnings(_mesh(nodes={**nodes, "web-2": TWO})) == []


def test_a_source_inside_the_mesh_is_no_way_in_from_outside() -> None:
    lonely = "203.0.113.7 is the only address"
    assert lonely in _warnings(_mesh(ssh={"from": ["203.0.113.7", "10.10.0.7"]}))[0]
    assert _warnings(_mesh(ssh={"from": ["203.0.113.7", "2001:db8::7"]})) == []


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (
            "10.10.0.0",
            "10.10.0.0 is the network address of 10.10.0.0/29; write 10.10.0.1, which is free",
        ),
        (
            "10.10.0.7",
            "10.10.0.7 is the broadcast address of 10.10.0.0/29; write 10.10.0.1, which is free",
        ),
        ("10.10.0.8", "10.10.0.8 is outside 10.10.0.0/29; write 10.10.0.1, which is free"),
        ("10.9.255.255", "10.9.255.255 is outside 10.10.0.0/29; write 10.10.0.1, which is free"),
    ],
)
def test_an_address_that_a_node_cannot_have_is_told_with_a_free_one(address: str, told: str) -> None:
    raw = {"cidr": "10.10.0.0/29", "nodes": {"web-1": {"address": address}}}
    assert _problems(raw) == [f"mesh.nodes.web-1.address: {told}"]


def test_as_many_nodes_as_there_are_addresses_have_room() -> None:
    def nodes(count: int) -> dict[str, Any]:
        return {f"n{number}": {"address": f"10.10.0.{number}"} for number in range(1, count + 1)}

    assert len(parse_settings({"cidr": "10.10.0.0/29", "nodes": nodes(6)}).nodes) == 6
    assert _problems({"cidr": "10.10.0.0/29", "nodes": nodes(7)})[0] == (
        "mesh.cidr: 10.10.0.0/29 has room for 6 nodes, but there are 7; widen the network"
    )
