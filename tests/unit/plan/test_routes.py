"""Networks behind nodes in the plan: who has them, who may reach them, and what a policy names."""

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.plan import PlanError
from tests.unit.meshes import plan_of

SUBNETS = [f"10.{second}.{third}.0/24" for second in (20, 21) for third in range(6)]
SUBNETS6 = [f"fd20:0:0:{number:x}::/64" for number in range(1, 5)]
NAMES = ("gw-1", "gw-2", "web-1", "db-1")


def _some_packet(pair: tuple[str, str]) -> bool:
    """Whether packets can go between two ends: not from one to itself, and not between two families."""
    return pair[0] != pair[1] and len({":" in end for end in pair if "/" in end}) < 2


@st.composite
def routed(draw: st.DrawFn) -> dict[str, Any]:
    """Any mesh of four nodes with networks behind some of them, and perhaps links and a policy."""
    both = draw(st.booleans())
    networks = draw(
        st.lists(st.sampled_from([*SUBNETS, *(SUBNETS6 if both else [])]), unique=True, max_size=6)
    )
    nodes: dict[str, Any] = {
        name: {
            "address": f"10.10.0.{number}",
            "routes": [],
            "enabled": draw(st.sampled_from((True, True, False))),
        }
        for number, name in enumerate(NAMES, start=1)
    }
    for network in networks:
        nodes[draw(st.sampled_from(NAMES))]["routes"].append(network)
    mesh: dict[str, Any] = {"cidr": "10.10.0.0/24", "nodes": nodes}
    if both:
        mesh["cidr6"] = "fd00:10::/64"
    with_policy = draw(st.booleans())
    if with_policy and networks:
        ends = st.sampled_from((*NAMES, *networks))
        pairs = draw(st.lists(st.tuples(ends, ends).filter(_some_packet), max_size=4, unique=True))
        mesh["policy"] = [{"from": [one], "to": [other], "allow": ["tcp/80"]} for one, other in pairs]
    return mesh


@given(routed())
def test_no_address_belongs_to_two_peers_and_every_network_to_its_node_alone(mesh: dict[str, Any]) -> None:
    plan = plan_of(mesh)
    for name, node in plan.nodes.items():
        allowed = [network for peer in node.peers for network in peer.allowed_ips]
        assert not any(one.overlaps(other) for one, other in combinations(allowed, 2))
        has = {(peer.name, str(network)) for peer in node.peers for network in peer.routes}
        everyone = {other for other in NAMES if other != name and mesh["nodes"][other]["enabled"]}
        wanted = {(other, network) for other in everyone for network in mesh["nodes"][other]["routes"]}
        assert has == (wanted if node.enabled else set())
        assert node.access.forward == bool(mesh["nodes"][name]["routes"])


@given(routed())
def test_a_rule_opens_a_network_to_whom_the_rule_names_and_to_nobody_else(mesh: dict[str, Any]) -> None:
    rules = {(rule["from"][0], rule["to"][0]) for rule in mesh.get("policy", ())}
    owner = {network: name for name, node in mesh["nodes"].items() for network in node["routes"]}
    members = {name: name for name in NAMES} | {net: f"{net} behind {name}" for net, name in owner.items()}
    for name, node in plan_of(mesh).nodes.items():
        for each in node.access.routes:
            network = str(each.network)
            assert each.begins == ("policy" not in mesh or any(source == network for source, _ in rules))
            if each.ingress is None:
                assert "policy" not in mesh
                continue
            takes_part = {one for one in members if mesh["nodes"][owner.get(one, one)]["enabled"]}
            sources = {members[one] for one, other in rules if other == network and one in takes_part}
            assert {ingress.source for ingress in each.ingress} == sources
        assert name in NAMES


@given(routed())
def test_a_node_forwards_ipv6_for_a_network_of_ipv6_alone(mesh: dict[str, Any]) -> None:
    for name, node in plan_of(mesh).nodes.items():
        assert node.access.passes_on6 == any(":" in network for network in mesh["nodes"][name]["routes"])
        assert node.access.passes_on >= node.access.passes_on6


TEST = {"port": "tcp/80", "expect": "allow"}


@pytest.mark.parametrize("more", [{}, {"policy": []}])
def test_a_test_between_two_families_says_why_nothing_passes(more: dict[str, Any]) -> None:
    nodes = {
        "gw": {"address": "10.10.0.1", "routes": ["10.20.0.0/16"]},
        "gw-2": {"address": "10.10.0.2", "routes": ["fd20::/64"]},
    }
    mesh = {"cidr": "10.10.0.0/24", "cidr6": "fd00:10::/64", "nodes": nodes, **more}
    ends = {"from": "fd20::/64", "to": "10.20.0.0/16"}
    plan_of({**mesh, "policyTests": [{**ends, "port": "tcp/80", "expect": "deny"}]})
    with pytest.raises(PlanError, match="one has IPv4 alone, the other one IPv6; change the test"):
        plan_of({**mesh, "policyTests": [{**ends, **TEST}]})


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("10.20.0.0/16", "db", "no rule of mesh.policy allows it"),
        ("db", "10.21.0.0/16", "no rule of mesh.policy allows it"),
        ("10.21.0.0/16", "10.20.0.0/16", "no rule of mesh.policy allows it"),
    ],
)
def test_a_test_of_the_policy_may_name_networks(source: str, target: str, reason: str) -> None:
    nodes = {
        "gw": {"address": "10.10.0.1", "routes": ["10.20.0.0/16"]},
        "gw-2": {"address": "10.10.0.2", "routes": ["10.21.0.0/16"]},
        "db": {"address": "10.10.0.3"},
    }
    mesh: dict[str, Any] = {
        "cidr": "10.10.0.0/24", "nodes": nodes, "policyTests": [{"from": source, "to": target, **TEST}]
    }  # fmt: skip
    plan_of(mesh)
    plan_of({**mesh, "policy": [{"from": [source], "to": [target], "allow": ["tcp/80"]}]})
    with pytest.raises(PlanError, match=reason):
        plan_of({**mesh, "policy": []})
    links = [["gw", "gw-2"], ["db", "gw"]] if "10.21" in target + source and "db" in (source, target) else []
    if links:
        with pytest.raises(PlanError, match=r"mesh.links has no link between"):
            plan_of({**mesh, "links": links})
