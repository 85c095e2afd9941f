"""The path of a pair: the best that both nodes have, the same from both ends; refused without any."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.plan import MeshPlan, Path, plan_mesh
from mesh.settings import SettingsError, parse_settings
from tests.unit.meshes import documents_of, facts_of, plan_of

_NETWORKS: dict[str, Any] = {"backbone": {"cidr": "10.0.0.0/16"}, "lan": {"cidr": "192.168.7.0/24"}}
_FAMILIES = {"4": {}, "6": {"publicIpv4": False, "publicIpv6": True}, "46": {"publicIpv6": True}}


@st.composite
def _meshes(draw: st.DrawFn) -> dict[str, Any]:
    size = draw(st.integers(2, 5))
    nodes = {}
    for index in range(size):
        node: dict[str, Any] = {
            "address": f"10.10.0.{index + 2}",
            **_FAMILIES[draw(st.sampled_from([*_FAMILIES]))],
        }
        network = draw(st.sampled_from([None, *_NETWORKS]))
        if network is not None:
            node["network"] = network
        nodes[f"n{index}"] = node
    prefer = draw(st.sampled_from(["ipv4", "ipv6"]))
    return {"cidr": "10.10.0.0/24", "prefer": prefer, "networks": _NETWORKS, "nodes": nodes}


def _families(node: dict[str, Any]) -> set[str]:
    has = {"ipv4": node.get("publicIpv4", True), "ipv6": node.get("publicIpv6", False)}
    return {family for family, there in has.items() if there}


def _expected(mesh: dict[str, Any], one: str, other: str) -> Path | None:
    first, second = mesh["nodes"][one], mesh["nodes"][other]
    if "network" in first and first["network"] == second.get("network"):
        return Path(network=first["network"])
    both = _families(first) & _families(second)
    if mesh["prefer"] in both:
        return Path(family=mesh["prefer"])
    return Path(family=both.pop()) if both else None  # type: ignore[arg-type]


@given(_meshes())
def test_both_ends_take_the_best_path_and_only_a_pair_without_one_is_refused(mesh: dict[str, Any]) -> None:
    names = list(mesh["nodes"])
    expected = {(one, other): _expected(mesh, one, other) for one in names for other in names if one != other}
    try:
        plan: MeshPlan | None = plan_of(mesh)
    except SettingsError as error:
        plan = None
        told = [str(problem) for problem in error.problems]
        without = {frozenset(pair) for pair, path in expected.items() if path is None}
        assert len(told) == len(without) > 0
        assert all(any(f"nodes.{one}: " in each and f"to {other}:" in each
                       for each in told for one, other in (sorted(pair), sorted(pair, reverse=True)))
                   for pair in without)  # fmt: skip
    if plan is not None:
        found = {(node.name, peer.name): peer.path for node in plan.nodes.values() for peer in node.peers}
        assert found == expected


@given(_meshes())
def test_the_firewall_lets_wireguard_in_from_where_the_peers_send_and_from_nowhere_else(
    mesh: dict[str, Any],
) -> None:
    try:
        plan = plan_of(mesh)
    except SettingsError:
        return
    facts = facts_of(plan)
    for name, document in documents_of(plan).items():
        sets = document.partition("set peer_endpoints")[2].partition("set ssh_sources4")[0]
        wanted = {str(facts[peer.name].at(peer.path).address) for peer in plan.nodes[name].peers}  # type: ignore[union-attr]
        assert {line.strip(" ,") for line in sets.splitlines() if line.startswith(" " * 12)} == wanted


def test_a_pair_without_a_path_names_both_nodes_and_what_would_help() -> None:
    nodes = {"old-1": {"address": "10.10.0.2"}, "six-1": {"address": "10.10.0.3", **_FAMILIES["6"]}}
    settings = parse_settings({"cidr": "10.10.0.0/24", "nodes": nodes})
    with pytest.raises(SettingsError) as caught:
        plan_mesh(settings)
    (problem,) = caught.value.problems
    assert str(problem) == (
        "mesh.nodes.old-1: has no path to six-1: old-1 has public IPv4 only, six-1 public IPv6 only, and "
        "they share no private network. Give one of them both families (publicIpv4, publicIpv6; with "
        "provider: static, hostIpv6), or put both into one of `networks`"
    )


def test_a_node_that_takes_no_part_needs_no_path() -> None:
    six = {"address": "10.10.0.3", "enabled": False, **_FAMILIES["6"]}
    assert plan_of({"cidr": "10.10.0.0/24", "nodes": {"old-1": {"address": "10.10.0.2"}, "six-1": six}})
