"""Addresses and networks at Hetzner: what is declared, what a change takes away, what is refused."""

from typing import Any

import pytest

from mesh.plan.dangers import Before, dangers, refused
from mesh.program.machines.base import Family
from mesh.program.machines.hetzner.connected import (
    CloudNetwork,
    network_refusals,
    refused_families,
    refused_networks,
)
from mesh.program.machines.hetzner.losses import loss_of
from mesh.program.machines.hetzner.model import wanted
from mesh.program.machines.hetzner.wishes import Present
from tests.unit.meshes import plan_of
from tests.unit.program.recording import Recording, run, value_of

DUAL: dict[str, Any] = {"publicIpv6": True}
SIX: dict[str, Any] = {"publicIpv4": False, "publicIpv6": True}
NETWORKS: dict[str, Any] = {"backbone": {"cidr": "10.0.0.0/16"}}


def _mesh(networks: dict[str, Any] | None = None, **nodes: dict[str, Any]) -> dict[str, Any]:
    named = {
        name: {"address": f"10.10.0.{index}", **node}
        for index, (name, node) in enumerate(nodes.items(), start=2)
    }
    return {"cidr": "10.10.0.0/24", "networks": networks or {}, "nodes": named}


def _opened(up: Recording) -> set[str]:
    """What the firewalls of the cloud open, in their rules' own words."""
    return {rule["description"] for each in up.of_type("Firewall") for rule in each.inputs["rules"]}


def _wireguard_is_open(up: Recording) -> bool:
    return "WireGuard" in _opened(up)


def test_a_node_has_the_addresses_that_it_asks_for_and_is_dialled_at_ipv4_first() -> None:
    up = run(_mesh(dual=DUAL, six=SIX))
    assert {each.name: each.inputs["type"] for each in up.of_type("PrimaryIp")} == {
        "dual-ip": "ipv4", "dual-ip6": "ipv6", "six-ip6": "ipv6"
    }  # fmt: skip
    (net,) = up["six-server"].inputs["publicNets"]
    assert (net["ipv4Enabled"], net["ipv6Enabled"], "ipv4" in net) == (False, True, False)
    (net,) = up["dual-server"].inputs["publicNets"]
    assert (net["ipv4Enabled"], net["ipv6Enabled"]) == (True, True)


def test_a_node_as_before_declares_what_it_declared() -> None:
    up = run(_mesh(web={}))
    (net,) = up["web-server"].inputs["publicNets"]
    assert set(net) == {"ipv4", "ipv4Enabled", "ipv6Enabled"}
    assert set(up["directory"].inputs["input"]["web"]) == {"address", "public_key", "endpoint"}
    assert not [each for each in up.resources.values() if "etwork" in each.type]


def test_the_nodes_of_a_network_are_attached_at_fixed_addresses_that_peers_are_told() -> None:
    here = {"network": "backbone"}
    up = run(_mesh(NETWORKS, a=here, b={**here, "networkAddress": "10.0.9.9"}, c={}))
    (network,) = up.of_type(":Network")
    assert (network.name, network.inputs["name"]) == ("network-backbone", "test-backbone")
    places = {each.name: each.inputs["ip"] for each in up.of_type("ServerNetwork")}
    assert places == {"a-network": "10.0.0.2", "b-network": "10.0.9.9"}
    entries = up["directory"].inputs["input"]
    assert {name: entry.get("endpoint_private") for name, entry in entries.items()} == {
        "a": "10.0.0.2:51820", "b": "10.0.9.9:51820", "c": None
    }  # fmt: skip
    assert "a-network" in up["a-agent-file"].dependencies


def test_the_cloud_opens_wireguard_only_where_peers_come_over_the_internet() -> None:
    here = {"network": "backbone"}
    private, mixed = run(_mesh(NETWORKS, a=here, b=here)), run(_mesh(NETWORKS, a=here, b=here, c={}))
    assert [_wireguard_is_open(up) for up in (private, mixed)] == [False, True]
    assert all("SSH" in _opened(up) for up in (private, mixed))


def test_the_port_stays_open_in_the_cloud_until_all_nodes_have_the_private_endpoints() -> None:
    here = {"network": "backbone"}
    before = run(_mesh(NETWORKS, a={}, b={}))
    moved = run(_mesh(NETWORKS, a=here, b=here), existing=before)
    after = run(_mesh(NETWORKS, a=here, b=here), existing=moved)
    found = [
        any(
            rule["description"] == "WireGuard"
            for each in up.of_type("Firewall")
            for rule in each.inputs["rules"]
        )
        for up in (before, moved, after)
    ]
    assert found == [True, True, False]


def _before(
    has: tuple[Family, ...], *, protected: bool = False, **node: Any
) -> tuple[Any, dict[str, Before]]:
    plan = plan_of(_mesh(a=node))
    shown: dict[Family, str | None] = {"ipv4": "192.0.2.7", "ipv6": "2001:db8::"}
    loss = loss_of(
        wanted(plan.nodes["a"]),
        Present(location="fsn1", type="cx23"),
        location="fsn1",
        addresses={family: shown[family] for family in has},
        protected=protected,
    )
    return plan, {"a": Before(loss=loss, address="10.10.0.2", enabled=True)}


def test_an_address_that_is_given_back_is_told_and_refused_for_a_protected_node() -> None:
    plan, before = _before(("ipv4", "ipv6"), **SIX)
    assert dangers(plan, before)["a"] == (
        "a gives its public IPv4 address 192.0.2.7 back: the server is powered off for a minute or two, and "
        "its tunnels stop until every node has its other endpoint"
    )
    assert refused(plan, before) == ()
    plan, before = _before(("ipv4", "ipv6"), protected=True, **SIX)
    (problem,) = refused(plan, before)
    assert "is protected, but gives its public IPv4 address 192.0.2.7 back" in problem.message
    plan, before = _before(("ipv4", "ipv6"), **DUAL)
    assert dangers(plan, before) == {}


@pytest.mark.parametrize(("has", "key"), [(("ipv4",), "publicIpv6"), (("ipv6",), "publicIpv4")])
def test_an_address_that_a_server_cannot_get_is_refused_with_what_helps(
    has: tuple[Family, ...], key: str
) -> None:
    (problem,) = refused_families(plan_of(_mesh(a=DUAL)).nodes["a"], has)
    assert problem.path == f"mesh.nodes.a.{key}"
    assert f"add another node with {key}: true" in problem.message
    assert list(refused_families(plan_of(_mesh(a=DUAL)).nodes["a"], ("ipv4", "ipv6"))) == []


def test_what_the_cloud_would_not_make_is_refused() -> None:
    networks = {"far": {"cidr": "100.64.0.0/16"}}
    plan = plan_of(_mesh(networks, a={"network": "far", "location": "ash"}))
    cidr, zone = map(str, refused_networks(plan.nodes))
    assert cidr == (
        "mesh.networks.far.cidr: 100.64.0.0/16 cannot be a network at Hetzner; take one inside 10.0.0.0/8, "
        "172.16.0.0/12, 192.168.0.0/16"
    )
    assert zone == (
        "mesh.nodes.a.network: far is in the network zone eu-central, and a in ash, which is in us-east; "
        "take the node out of the network, or choose a location of eu-central"
    )


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (None, "mesh.networks.old: the cloud project has no network old; correct the name"),
        (
            CloudNetwork(ip_range="10.1.0.0/16", subnets=("10.1.2.0/24",)),
            "write one of 10.1.2.0/24, 10.1.0.0/16",
        ),
        (CloudNetwork(ip_range="10.0.0.0/8", subnets=("10.0.0.0/16",)), ""),
    ],
)
def test_an_existing_network_must_be_there_with_its_range(there: CloudNetwork | None, says: str) -> None:
    networks = {"old": {"cidr": "10.0.0.0/16", "existing": True}}
    plan = plan_of(_mesh(networks, a={"network": "old"}))
    problems = [str(problem) for problem in network_refusals(plan.nodes, {"old": there})]
    assert [says in problem for problem in problems] == ([True] if says else [])


def test_the_address_of_a_node_with_ipv6_alone_is_the_first_of_its_network() -> None:
    up = run(_mesh(six=SIX))
    public = value_of(up.mesh.nodes["six"]["public_ip"])
    assert str(public).endswith("::1")
