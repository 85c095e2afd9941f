"""Where a mistake is told, in which order, and what is said of a value that has the wrong shape."""

from typing import Any

import pytest

from mesh.settings import SettingsError, parse_settings

NODE: dict[str, Any] = {"address": "10.10.0.1"}


def _problems(raw: object, **more: Any) -> list[str]:
    with pytest.raises(SettingsError) as error:
        parse_settings(raw, **more)
    return [str(problem) for problem in error.value.problems]


def _mesh(**more: Any) -> dict[str, Any]:
    return {"cidr": "10.10.0.0/24", "nodes": {"web-1": NODE}, **more}


@pytest.mark.parametrize("key", ["ssh", "defaults", "rollout"])
def test_a_part_that_is_empty_can_be_left_out(key: str) -> None:
    assert _problems(_mesh(**{key: None})) == [
        f"mesh.{key}: null is not a mapping of keys and values; leave it out for the defaults"
    ]
    (problem,) = _problems(_mesh(**{key: 5}))
    assert problem.startswith(f"mesh.{key}: 5 is not a mapping of keys and values; write for example {{")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("1.1.1.1", "1.1.1.1"),
        ("192.168.100.200", "192.168.100.200"),
        ("1.1.1.", "10.10.0.1"),
        ("1234567890123456", "10.10.0.1"),
        ("x10.10.0.7", "10.10.0.1"),
        (None, "10.10.0.1"),
        (["10.10.0.7"], "10.10.0.1"),
    ],
)
def test_a_node_that_is_no_mapping_is_told_how_to_be_one(value: object, written: str) -> None:
    (problem,) = _problems(_mesh(nodes={"web-1": value}))
    assert problem.startswith("mesh.nodes.web-1: ")
    assert problem.endswith(f" is not a mapping of keys and values; write {{address: {written}}}")


@pytest.mark.parametrize("value", [5, None, [], "web-1"])
def test_nodes_that_are_no_mapping_are_told_how_to_be_one(value: object) -> None:
    (problem,) = _problems(_mesh(nodes=value))
    assert problem.endswith(" is not a mapping of node names; write nodes: {web-1: {address: 10.10.0.1}}")


def test_an_entry_of_a_list_has_no_defaults() -> None:
    assert _problems(_mesh(policy=[None], policyTests=[5])) == [
        (
            "mesh.policy[0]: null is not a mapping of keys and values; write for example "
            "{from: [web], to: [db], "
            "allow: [tcp/5432]}"
        ),
        (
            "mesh.policyTests[0]: 5 is not a mapping of keys and values; write for example "
            "{from: web, to: db, "
            "port: tcp/5432, expect: allow}"
        ),
    ]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("yes", "'yes' is neither true nor false; write true, without quotes"),
        ("on", "'on' is neither true nor false; write true, without quotes"),
        ("true", "'true' is neither true nor false; write true, without quotes"),
        ("no", "'no' is neither true nor false; write false, without quotes"),
        ("off", "'off' is neither true nor false; write false, without quotes"),
        ("false", "'false' is neither true nor false; write false, without quotes"),
        (" Yes ", "'Yes' is neither true nor false; write true, without quotes"),
        ("x", "'x' is neither true nor false; write one of them"),
        (1, "1 is neither true nor false; write true"),
        (None, "null is neither true nor false; write one of them"),
    ],
)
def test_a_switch_is_true_or_false_and_nothing_that_sounds_like_it(value: object, told: str) -> None:
    assert _problems(_mesh(nodes={"web-1": {**NODE, "forward": value}})) == [
        f"mesh.nodes.web-1.forward: {told}"
    ]


def test_what_is_missing_is_told_with_an_example_of_its_kind() -> None:
    assert _problems({"policy": [{}], "policyTests": [{}], "nodes": {"a": {}}}) == [
        "mesh.policy[0].from: is missing and required, such as `from: [web]`",
        "mesh.policy[0].to: is missing and required, such as `to: [db]`",
        "mesh.policy[0].allow: is missing and required, such as `allow: [tcp/5432]`",
        "mesh.policyTests[0].from: is missing and required, such as `from: web`",
        "mesh.policyTests[0].to: is missing and required, such as `to: db`",
        "mesh.policyTests[0].port: is missing and required, such as `port: tcp/5432`",
        "mesh.policyTests[0].expect: is missing and required, such as `expect: allow`",
        "mesh.nodes.a.address: is missing and required, such as `address: 10.10.0.1`",
        "mesh.cidr: is missing and required, such as `cidr: 10.10.0.0/24`",
    ]


def test_an_empty_list_can_be_left_out_where_there_is_a_default() -> None:
    rule = {"from": ["web-1"], "to": ["all"], "allow": []}
    assert _problems(_mesh(ssh={"from": []}, policy=[rule])) == [
        "mesh.ssh.from: is empty; list at least one entry, or leave it out for the default",
        "mesh.policy[0].allow: is empty; list at least one entry",
    ]


def test_an_unknown_key_is_told_with_those_that_are_known_at_its_place() -> None:
    rule = {"from": ["web-1"], "to": ["all"], "allow": ["all"], "zzz": 1}
    test = {"from": "web-1", "to": "web-2", "port": "tcp/1", "expect": "allow", "zzz": 1}
    nodes = {"web-1": {**NODE, "zzz": 1}, "web-2": {"address": "10.10.0.2"}}
    raw = _mesh(nodes=nodes, policy=[rule], policyTests=[test], rollout={"zzz": 1}, ssh={"zzz": 1})
    assert _problems(raw) == [
        (
            "mesh.nodes.web-1.zzz: is not a known key; known are address, location, type, image, "
            "publicIpv4, publicIpv6, address6, enabled, generation, revoked, "
            "protect, groups, public, forward, endpoint, "
            "keepalive, relay, egress, routes, formerly, networkAddress, trustedInterfaces, metadata, "
            "underlayMtu, keySource, provider, network"
        ),
        "mesh.policy[0].zzz: is not a known key; known are from, to, allow",
        "mesh.policyTests[0].zzz: is not a known key; known are from, to, port, expect",
        "mesh.rollout.zzz: is not a known key; the only known word is canary",
        "mesh.ssh.zzz: is not a known key; known are port, from, authorizedKeys",
    ]


@pytest.mark.parametrize("key", [1, None, 2.5])
def test_a_key_that_is_no_text_is_no_known_key_either(key: object) -> None:
    known = (
        "known are cidr, cidr6, port, mtu, protect, prefer, networks, ssh, defaults, nodes, clients, policy, "
        "policyTests, rollout, rotation, links"
    )
    assert _problems(dict([*_mesh().items(), (key, 2)])) == [f"mesh.{key}: is not a known key; {known}"]


def test_a_node_whose_name_is_no_text_is_told_once() -> None:
    rule = "lower-case letters, digits and inner hyphens, at most 48"
    assert _problems(_mesh(nodes={None: NODE})) == [
        f"mesh.nodes.None: null is not a host name: {rule}; put it in quotes"
    ]
    assert _problems(_mesh(nodes={2.5: NODE})) == [
        f"mesh.nodes.2.5: 2.5 is not a host name: {rule}; give another name"
    ]
    assert _problems(_mesh(nodes={True: NODE})) == [
        f"mesh.nodes.True: true is not a host name: {rule}; put it in quotes"
    ]
    assert _problems(_mesh(nodes={7: {**NODE, "zzz": 1}}))[0] == (
        f"mesh.nodes.7: 7 is not a host name: {rule}; write n7"
    )


def test_mistakes_are_told_in_the_order_of_the_file_each_once_and_below_the_name_of_the_mesh() -> None:
    raw = {
        "zzz": 1,
        "policy": [
            {"from": ["x", "web-1"], "allow": ["z", "tcp/1", "y"], "to": ["all"]},
            {"allow": ["q"], "to": ["all"], "from": ["web-1"]},
        ],
        "nodes": {"web-1": {"public": ["a", "tcp/1", "b"], "address": "10.10.0.0"}, "db": {"address": "x"}},
        "cidr": "10.10.0.0/24",
        "port": 0,
    }
    assert [problem.partition(": ")[0] for problem in _problems(raw, where="prod")] == [
        "prod.zzz",
        "prod.policy[0].from[0]",
        "prod.policy[0].allow[0]",
        "prod.policy[0].allow[2]",
        "prod.policy[1].allow[0]",
        "prod.nodes.web-1.public[0]",
        "prod.nodes.web-1.public[2]",
        "prod.nodes.web-1.address",
        "prod.nodes.db.address",
        "prod.port",
    ]


def test_what_is_not_in_the_file_comes_after_what_is() -> None:
    assert [problem.partition(": ")[0] for problem in _problems({"nodes": {"web-1": {"forward": 1}}})] == [
        "mesh.nodes.web-1.forward",
        "mesh.nodes.web-1.address",
        "mesh.cidr",
    ]


def test_a_mesh_that_is_no_mapping_is_refused_below_its_name() -> None:
    assert _problems([1], where="prod") == [
        (
            "prod: [1] is not a mapping with cidr and nodes; write {cidr: 10.10.0.0/24, "
            "nodes: {web-1: {address: "
            "10.10.0.1}}}"
        )
    ]
