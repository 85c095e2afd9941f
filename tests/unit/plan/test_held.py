"""Former addresses beside new ones: wherever a node sends to them, or lets them in."""

from ipaddress import ip_interface
from typing import Any

from mesh.plan import MeshPlan
from mesh.plan.held import with_held
from tests.unit.meshes import plan_of

MESH: dict[str, Any] = {
    "cidr": "10.20.0.0/24",
    "nodes": {
        "hub": {"address": "10.20.0.1"},
        "web": {"address": "10.20.0.2", "routes": ["192.168.7.0/24"]},
        "home": {"address": "10.20.0.3", "endpoint": "none", "relay": "hub"},
        "office": {"address": "10.20.0.4", "endpoint": "none", "relay": "hub"},
    },
    "clients": {"laptop": {"address": "10.20.0.200", "to": ["hub"]}},
}
HELD = {
    "web": (ip_interface("10.10.0.2/24"),),
    "hub": (ip_interface("10.10.0.1/24"),),
    "home": (ip_interface("10.20.0.33/24"),),
    "laptop": (ip_interface("10.10.0.200/24"),),
}


def _held(**more: Any) -> MeshPlan:
    return with_held(plan_of({**MESH, **more}), HELD)


def _allowed(plan: MeshPlan, node: str) -> dict[str, str]:
    return {peer.name: " ".join(map(str, peer.allowed_ips)) for peer in plan.nodes[node].peers}


def test_a_plan_without_former_addresses_is_the_same_one() -> None:
    plan = plan_of(MESH)
    assert with_held(plan, {}) is plan
    assert with_held(plan, {"web": ()}) is plan


def test_a_node_has_its_former_address_beside_the_new_one() -> None:
    overlay = _held().nodes["web"].overlay
    assert [str(each) for each in overlay.addresses] == ["10.20.0.2/24"]
    assert [str(each) for each in overlay.held] == ["10.10.0.2/24"]
    assert str(overlay.first) == "10.20.0.2/24"


def test_a_node_sends_to_former_addresses_in_networks_where_it_has_one() -> None:
    plan = _held()
    assert _allowed(plan, "web") == {
        "hub": "10.20.0.1/32 10.10.0.1/32",
        "home": "10.20.0.3/32 10.20.0.33/32",
        "office": "10.20.0.4/32",
    }
    assert _allowed(plan, "office") == {
        "hub": "10.20.0.1/32 10.20.0.3/32 10.20.0.33/32",
        "web": "10.20.0.2/32 192.168.7.0/24",
    }
    assert _allowed(plan, "hub") == {
        "web": "10.20.0.2/32 192.168.7.0/24 10.10.0.2/32",
        "home": "10.20.0.3/32 10.20.0.33/32",
        "office": "10.20.0.4/32",
        "laptop": "10.20.0.200/32 10.10.0.200/32",
    }


def test_a_peer_and_a_relayed_node_say_which_of_their_addresses_are_former_ones() -> None:
    plan = _held()
    (hub, _web) = plan.nodes["office"].peers
    assert (hub.name, hub.held) == ("hub", ())
    assert [(each.name, [str(ip) for ip in each.held]) for each in hub.relays] == [("home", ["10.20.0.33"])]
    web = next(peer for peer in plan.nodes["hub"].peers if peer.name == "web")
    assert [str(ip) for ip in web.held] == ["10.10.0.2"]
    relayed = {
        (one.name, other.name): (one.held, other.held) for one, other in plan.nodes["hub"].access.relayed
    }
    assert {pair: [[str(ip) for ip in end] for end in ends] for pair, ends in relayed.items()} == {
        ("home", "office"): [["10.20.0.33"], []],
        ("office", "home"): [[], ["10.20.0.33"]],
    }


def test_a_client_calls_a_node_by_either_address() -> None:
    (hub,) = _held().clients["laptop"].peers
    assert " ".join(map(str, hub.allowed_ips)) == "10.20.0.1/32 10.10.0.1/32"


def test_the_policy_lets_in_former_addresses_of_those_that_it_lets_in() -> None:
    rules = [
        {"from": ["web"], "to": ["hub"], "allow": ["tcp/5432"]},
        {"from": ["laptop"], "to": ["hub"], "allow": ["tcp/22"]},
        {"from": ["hub"], "to": ["192.168.7.0/24"], "allow": ["tcp/80"]},
    ]
    plan = _held(policy=rules)
    granted = {each.source: each.addresses for each in plan.nodes["hub"].access.ingress or ()}
    assert {name: " ".join(map(str, addresses)) for name, addresses in granted.items()} == {
        "web": "10.20.0.2 10.10.0.2",
        "laptop": "10.20.0.200 10.10.0.200",
    }
    (route,) = plan.nodes["web"].access.routes
    assert [" ".join(map(str, each.addresses)) for each in route.ingress or ()] == ["10.20.0.1 10.10.0.1"]
    assert plan.nodes["office"].access.ingress == ()
    assert _held().nodes["hub"].access.ingress is None
    assert all(each.ingress is None for each in _held().nodes["web"].access.routes)


def test_ssh_from_inside_is_open_for_former_addresses_of_those_for_whom_it_is_open() -> None:
    def sources(node: str, *listed: str) -> list[str]:
        plan = _held(ssh={"from": ["203.0.113.0/24", *listed]})
        return [str(each) for each in plan.nodes[node].access.ssh_mesh]

    assert sources("hub", "10.20.0.2") == ["10.10.0.2/32", "10.20.0.2/32"]
    assert sources("office", "10.20.0.2") == ["10.20.0.2/32"]
    assert sources("hub", "10.20.0.0/24") == [
        "10.10.0.1/32",
        "10.10.0.2/32",
        "10.10.0.200/32",
        "10.20.0.0/24",
    ]
    assert sources("hub") == []


def test_former_addresses_of_both_families_are_held() -> None:
    plan = plan_of(
        {
            "cidr": "10.20.0.0/24",
            "cidr6": "fd00:20::/64",
            "ssh": {"from": ["fd00:20::1", "0.0.0.0/0"]},
            "nodes": {"a": {"address": "10.20.0.1"}, "b": {"address": "10.20.0.2"}},
        }
    )
    held = {
        "a": (ip_interface("10.10.0.1/24"), ip_interface("fd00:10::1/64")),
        "b": (ip_interface("fd00:10::2/64"),),
    }
    found = with_held(plan, held)
    assert _allowed(found, "b") == {"a": "10.20.0.1/32 fd00:20::1/128 fd00:10::1/128"}
    assert _allowed(found, "a") == {"b": "10.20.0.2/32 fd00:20::2/128 fd00:10::2/128"}
    assert [str(each) for each in found.nodes["b"].access.ssh_mesh] == [
        "10.20.0.1/32", "fd00:10::1/128", "fd00:20::1/128",
    ]  # fmt: skip
