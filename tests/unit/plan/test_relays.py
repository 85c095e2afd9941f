"""Nodes behind NAT: whom they reach directly, whom over a relay, and what the relay lets through."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.plan import MeshPlan, NodePlan
from mesh.settings import SettingsError
from tests.unit.meshes import plan_of

NODES: dict[str, Any] = {
    "hub": {"address": "10.10.0.1"},
    "web": {"address": "10.10.0.2"},
    "a": {"address": "10.10.0.3", "endpoint": "none", "relay": "hub", "keepalive": 10},
    "b": {"address": "10.10.0.4", "endpoint": "none"},
}


def _plan(**changed: dict[str, Any]) -> MeshPlan:
    nodes = {name: {**node, **changed.get(name, {})} for name, node in NODES.items()}
    return plan_of({"cidr": "10.10.0.0/24", "nodes": nodes})


def _allowed(node: NodePlan) -> dict[str, list[str]]:
    return {peer.name: [str(network) for network in peer.allowed_ips] for peer in node.peers}


def _relayed(node: NodePlan) -> list[tuple[str, str]]:
    return [(one.name, other.name) for one, other in node.access.relayed]


def test_a_relayed_address_is_the_relays_and_nobody_elses() -> None:
    plan = _plan()
    assert _allowed(plan.nodes["a"]) == {"hub": ["10.10.0.1/32", "10.10.0.4/32"], "web": ["10.10.0.2/32"]}
    assert _allowed(plan.nodes["b"]) == {"hub": ["10.10.0.1/32", "10.10.0.3/32"], "web": ["10.10.0.2/32"]}
    assert _relayed(plan.nodes["hub"]) == [("a", "b"), ("b", "a")]
    assert _relayed(plan.nodes["web"]) == []


def test_nobody_has_an_endpoint_for_a_caller() -> None:
    plan = _plan()
    calls = {node.name: [peer.name for peer in node.peers if peer.calls] for node in plan.nodes.values()}
    assert calls == {"hub": ["a", "b"], "web": ["a", "b"], "a": [], "b": []}


def test_keepalive_is_what_the_node_itself_sends() -> None:
    plan = _plan(b={"keepalive": 0})
    sent = {node.name: {peer.keepalive for peer in node.peers} for node in plan.nodes.values()}
    assert sent == {"hub": {25}, "web": {25}, "a": {10}, "b": {0}}


def test_a_node_that_is_out_is_not_relayed() -> None:
    plan = _plan(b={"enabled": False})
    assert _allowed(plan.nodes["a"]) == {"hub": ["10.10.0.1/32"], "web": ["10.10.0.2/32"]}
    assert _relayed(plan.nodes["hub"]) == []


@pytest.mark.parametrize(
    ("a", "b", "relay"), [("web", "hub", "hub"), ("hub", "web", "hub"), ("web", None, "web")]
)
def test_of_two_relays_the_first_in_the_alphabet_counts_for_both(a: str, b: str | None, relay: str) -> None:
    plan = _plan(a={"relay": a}, b={} if b is None else {"relay": b})
    assert [node.name for node in plan.nodes.values() if node.access.relayed] == [relay]
    assert "10.10.0.4/32" in _allowed(plan.nodes["a"])[relay]
    assert "10.10.0.3/32" in _allowed(plan.nodes["b"])[relay]


_NAMES = ("n1", "n2", "n3", "n4", "n5", "n6")


@st.composite
def _meshes(draw: st.DrawFn) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    for number, name in enumerate(_NAMES, 1):
        caller = draw(st.booleans())
        nodes[name] = {"address": f"10.10.0.{number}", "enabled": draw(st.booleans())}
        if caller:
            nodes[name] |= {"endpoint": "none", "relay": draw(st.sampled_from(_NAMES))}
    links = draw(st.none() | st.lists(st.lists(st.sampled_from((*_NAMES, "all")), min_size=2, max_size=2)))
    return {"cidr": "10.10.0.0/24", "nodes": nodes, **({"links": links} if links else {})}


@given(_meshes())
def test_every_pair_has_one_path_and_the_same_one_back(raw: dict[str, Any]) -> None:
    try:
        plan = plan_of(raw)
    except SettingsError:
        return
    for node in plan.nodes.values():
        networks = [network for peer in node.peers for network in peer.allowed_ips]
        assert len(set(networks)) == len(networks)
        if not node.access.relayed:
            continue
        assert _allowed(node).keys() >= {name for pair in _relayed(node) for name in pair}
    for one, other in permutations(plan.nodes.values(), 2):
        path = _path(plan, one, other)
        assert path == list(reversed(_path(plan, other, one)))
        linked = one.reaches is None or other.name in one.reaches
        assert bool(path) == (linked and one.enabled and other.enabled)


def _path(plan: MeshPlan, source: NodePlan, target: NodePlan) -> list[str]:
    """Follow a packet by the allowed IPs and by what relays let through; nothing where it ends."""
    address = str(target.overlay.first.ip)
    path, here = [source.name], source
    while here is not target:
        via = [name for name, allowed in _allowed(here).items() if f"{address}/32" in allowed]
        if not via:
            return []
        if here is not source and (source.name, target.name) not in _relayed(here):
            return []
        # whoever receives takes the packet only from the peer that has the source's address
        before, here = here, plan.nodes[via[0]]
        if f"{source.overlay.first.ip}/32" not in _allowed(here)[before.name]:
            return []
        path.append(here.name)
    return path
