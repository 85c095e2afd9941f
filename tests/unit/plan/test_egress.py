"""IPv4 over another node: whose allowed IPs hold the internet, whom the other node lets out, what is lost."""

from ipaddress import ip_interface
from typing import Any

from mesh.plan import MeshPlan
from mesh.plan.dangers import Before, Loss, dangers
from mesh.plan.held import with_held
from mesh.settings import parse_settings, warnings_of
from tests.unit.meshes import documents_of, plan_of

ONLY_IPV6 = {"publicIpv4": False, "publicIpv6": True}
NODES: dict[str, Any] = {
    "hub": {"address": "10.20.0.1", "publicIpv6": True, "routes": ["192.168.7.0/24"]},
    "web": {"address": "10.20.0.2", "publicIpv6": True},
    "six": {"address": "10.20.0.4", **ONLY_IPV6, "egress": "hub"},
    "seven": {"address": "10.20.0.3", **ONLY_IPV6, "egress": "hub"},
}


def _mesh(**changed: dict[str, Any]) -> dict[str, Any]:
    nodes = {name: {**node, **changed.get(name, {})} for name, node in NODES.items()}
    return {
        "cidr": "10.20.0.0/24",
        "nodes": {
            name: {key: value for key, value in node.items() if value is not None}
            for name, node in nodes.items()
        },
    }


def _allowed(plan: MeshPlan, node: str, peer: str) -> str:
    return next(" ".join(map(str, each.allowed_ips)) for each in plan.nodes[node].peers if each.name == peer)


def _users(plan: MeshPlan, node: str) -> dict[str, str]:
    return {
        each.name: " ".join(map(str, (*each.addresses, *each.held)))
        for each in plan.nodes[node].access.egress
    }


def test_the_internet_is_the_last_of_the_peers_networks_and_of_no_other_peers() -> None:
    plan = plan_of(_mesh())
    everywhere = {
        (node.name, peer.name)
        for node in plan.nodes.values()
        for peer in node.peers
        if "0.0.0.0/0" in map(str, peer.allowed_ips)
    }
    assert everywhere == {("six", "hub"), ("seven", "hub")}
    assert _allowed(plan, "six", "hub") == "10.20.0.1/32 192.168.7.0/24 0.0.0.0/0"
    assert {name: node.egress for name, node in plan.nodes.items() if node.egress} == {
        "six": "hub",
        "seven": "hub",
    }


def test_the_node_between_lets_out_those_that_name_it_in_the_order_of_their_addresses() -> None:
    plan = plan_of(_mesh(web={"groups": ["a"]}))
    assert list(_users(plan, "hub").items()) == [("seven", "10.20.0.3"), ("six", "10.20.0.4")]
    assert [name for name, node in plan.nodes.items() if node.access.egress] == ["hub"]
    plain = plan_of(_mesh(hub={"routes": []}))
    assert plain.nodes["hub"].access.passes_on
    assert not plain.nodes["hub"].access.forward
    assert not plain.nodes["six"].access.passes_on


def test_without_the_node_between_there_is_none_and_that_is_told() -> None:
    raw = _mesh(hub={"enabled": False}, seven={"enabled": False})
    plan = plan_of(raw)
    assert "0.0.0.0/0" not in documents_of(plan)["six"].partition("==> /etc/wgmesh")[0]
    assert _users(plan, "hub") == {}
    (told,) = warnings_of(parse_settings(raw))
    assert str(told) == (
        "mesh.nodes.six.egress: hub is not enabled, so six does not reach the IPv4 internet; name a node "
        "that is enabled, or enable hub"
    )
    assert warnings_of(parse_settings(_mesh())) == ()


def test_a_node_that_is_out_is_not_let_out() -> None:
    assert _users(plan_of(_mesh(six={"enabled": False})), "hub") == {"seven": "10.20.0.3"}


HELD = {"hub": (ip_interface("10.10.0.1/24"),), "six": (ip_interface("10.10.0.4/24"),)}


def test_former_addresses_get_out_too_and_the_internet_stays_last() -> None:
    plan = with_held(plan_of(_mesh()), HELD)
    assert _users(plan, "hub") == {"seven": "10.20.0.3", "six": "10.20.0.4 10.10.0.4"}
    assert _allowed(plan, "six", "hub") == "10.20.0.1/32 192.168.7.0/24 10.10.0.1/32 0.0.0.0/0"
    assert _allowed(plan, "web", "hub") == "10.20.0.1/32 192.168.7.0/24"
    documents = documents_of(plan)
    assert "            10.10.0.4, # six\n" in documents["hub"]
    assert (
        documents["hub"].count("ip daddr != 10.20.0.0/24 ip daddr != 10.10.0.0/24 ") == 3
    )  # two ways on, and masquerading
    only = 'iifname "wg0" ip saddr != 10.20.0.0/24 ip saddr != 10.10.0.0/24 ip saddr != 192.168.7.0/24 '
    assert documents["six"].count(only) == 2
    for network in ("10.20.0.0/24", "10.10.0.0/24"):
        assert f'iifname "wg0" ip saddr {network} ip saddr != @members counter drop' in documents["six"]


def _told(raw: dict[str, Any], **was: str) -> dict[str, str]:
    before = {
        name: Before(loss=Loss(), address=NODES[name]["address"], enabled=True, egress=was.get(name))
        for name in raw["nodes"]
        if name in NODES
    }
    return dangers(plan_of(raw), before)


def test_a_node_that_loses_its_way_out_or_gets_another_one_is_told() -> None:
    assert _told(_mesh(), six="hub", seven="hub") == {}
    assert _told(_mesh(), six="hub") == {}
    assert _told(_mesh(six={"egress": None}), six="hub", seven="hub") == {
        "six": "six no longer reaches the IPv4 internet over hub (egress): its connections there end"
    }
    assert _told(_mesh(six={"egress": "web"}), six="hub", seven="hub") == {
        "six": "six reaches the IPv4 internet over web instead of hub (egress): its connections there end, "
        "and new ones come from another address"
    }


def test_a_node_whose_node_between_is_out_is_told_and_one_that_is_renamed_is_the_same() -> None:
    words = "no longer reaches the IPv4 internet over hub (egress): its connections there end"
    told = _told(_mesh(hub={"enabled": False}), six="hub", seven="hub")
    assert told["six"] == f"six {words}"
    assert told["seven"] == f"seven {words}"
    raw = _mesh(six={"egress": "exit"}, seven={"egress": "exit"})
    nodes = raw["nodes"]
    nodes["exit"] = {**nodes.pop("hub"), "formerly": ["hub"]}
    assert "six" not in _told(raw, six="hub", seven="hub")
