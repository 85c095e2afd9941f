"""What a node's files say in each address family, where mesh, peers and sources have one or both."""

from dataclasses import replace
from ipaddress import IPv6Interface, ip_address, ip_interface
from typing import Any

import pytest

from mesh.plan import MeshPlan, NodePlan
from mesh.render import UNKNOWN, UNKNOWN_TEXT, Endpoint, render_document
from mesh.render.firewall import NamedSet, firewall_view
from tests.unit.meshes import MANAGEMENT, documents_of, facts_of, key_names_of, plan_of

NODES: dict[str, Any] = {
    "web-1": {"address": "10.10.0.1", "groups": ["web"]},
    "web-2": {"address": "10.10.0.2", "groups": ["web"]},
    "db-1": {"address": "10.10.0.11"},
}
MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "ssh": {"from": ["203.0.113.0/24", "2001:db8::/32", "10.10.0.1"]},
    "nodes": {**NODES, "db-1": {**NODES["db-1"], "public": ["tcp/443", "udp/53", "tcp/8000-8100"]}},
    "policy": [
        {"from": ["web"], "to": ["db-1"], "allow": ["tcp/5432-5433", "tcp/80", "udp/53", "icmp"]},
        {"from": ["web-2"], "to": ["db-1"], "allow": ["all"]},
    ],
}
SIX = ip_address("fd00::1")


def _elements(sets: Any) -> dict[str, list[str]]:
    return {
        f"{each.name} {each.type}": [f"{e} # {note}" if note else e for e, note in each.elements]
        for each in sets
    }


def _of_both_families(plan: MeshPlan) -> NodePlan:
    """db-1 in a mesh that has IPv6 addresses too: web-1 is fd00::1."""
    node = plan.nodes["db-1"]
    ingress = tuple(
        replace(each, addresses=(*each.addresses, SIX)) if each.source == "web-1" else each
        for each in node.access.ingress or ()
    )
    peers = tuple(
        replace(peer, addresses=(*peer.addresses, SIX)) if peer.name == "web-1" else peer
        for peer in node.peers
    )
    return replace(
        node,
        overlay=replace(node.overlay, addresses=(IPv6Interface("fd00::b/64"), *node.overlay.addresses)),
        access=replace(
            node.access, ingress=ingress, ssh_mesh=(*node.access.ssh_mesh, ip_interface("fd00::/96").network)
        ),
        peers=peers,
    )


def test_a_mesh_of_ipv4_has_its_sets_in_ipv4_and_says_that_ipv6_is_absent() -> None:
    plan = plan_of(MESH)
    view = firewall_view(plan.nodes["db-1"], facts_of(plan))
    assert _elements(view.sets) == {
        "peer_endpoints ipv4_addr": ["192.0.0.1", "192.0.0.2"],
        "ssh_sources4 ipv4_addr": ["203.0.113.0/24"],
        "ssh_sources6 ipv6_addr": ["2001:db8::/32"],
        "public_tcp inet_service": ["443", "8000-8100"],
        "public_udp inet_service": ["53"],
        "mesh_ssh ipv4_addr": ["10.10.0.1/32"],
        "mesh_all ipv4_addr": ["10.10.0.2 # web-2"],
        "mesh_icmp ipv4_addr": ["10.10.0.1 # web-1"],
        "mesh_tcp ipv4_addr . inet_service": ["10.10.0.1 . 80 # web-1", "10.10.0.1 . 5432-5433 # web-1"],
        "mesh_udp ipv4_addr . inet_service": ["10.10.0.1 . 53 # web-1"],
    }
    assert view.policy
    assert [str(side.network) for side in view.inside] == ["10.10.0.0/24"]
    assert [str(side.address) for side in view.inside] == ["10.10.0.11"]
    assert [family.name for family in view.families] == ["IPv4", "IPv6"]
    assert [family.name for family in view.absent] == ["IPv6"]
    assert [family.name for family in view.endpoints] == ["IPv4"]


def test_a_mesh_of_both_families_has_sets_of_both_ipv4_first() -> None:
    plan = plan_of(MESH)
    view = firewall_view(_of_both_families(plan), facts_of(plan))
    inside = _elements(each for each in view.sets if each.name.startswith("mesh_"))
    assert list(inside)[:5] == [
        "mesh_ssh ipv4_addr",
        "mesh_all ipv4_addr",
        "mesh_icmp ipv4_addr",
        "mesh_tcp ipv4_addr . inet_service",
        "mesh_udp ipv4_addr . inet_service",
    ]
    assert {name: elements for name, elements in inside.items() if "ipv6" in name} == {
        "mesh_ssh6 ipv6_addr": ["fd00::/96"],
        "mesh_all6 ipv6_addr": [],
        "mesh_icmp6 ipv6_addr": ["fd00::1 # web-1"],
        "mesh_tcp6 ipv6_addr . inet_service": ["fd00::1 . 80 # web-1", "fd00::1 . 5432-5433 # web-1"],
        "mesh_udp6 ipv6_addr . inet_service": ["fd00::1 . 53 # web-1"],
    }
    assert [str(side.network) for side in view.inside] == ["10.10.0.0/24", "fd00::/64"]
    assert view.absent == []


def test_without_a_policy_there_are_no_sets_of_the_mesh() -> None:
    plan = plan_of({"cidr": "10.10.0.0/24", "nodes": NODES})
    view = firewall_view(plan.nodes["db-1"], facts_of(plan))
    assert not view.policy
    assert [each.name for each in view.sets] == [
        "peer_endpoints",
        "ssh_sources4",
        "ssh_sources6",
        "public_tcp",
        "public_udp",
    ]


def test_an_endpoint_stands_in_the_set_of_its_family_once() -> None:
    plan = plan_of(MESH)
    facts = facts_of(plan)
    for name in ("web-1", "web-2"):
        facts[name] = replace(facts[name], endpoint=Endpoint(address=ip_address("2001:db8::7"), port=51820))
    view = firewall_view(plan.nodes["db-1"], facts)
    assert _elements(view.sets[:2]) == {
        "peer_endpoints ipv4_addr": [],
        "peer_endpoints6 ipv6_addr": ["2001:db8::7"],
    }
    assert [family.name for family in view.endpoints] == ["IPv4", "IPv6"]


def test_an_endpoint_that_a_preview_does_not_know_stands_among_those_of_ipv4() -> None:
    plan = plan_of(MESH)
    facts = facts_of(plan)
    facts["web-1"] = replace(facts["web-1"], endpoint=UNKNOWN)
    facts["web-2"] = replace(facts["web-2"], endpoint=Endpoint(address=ip_address("2001:db8::7"), port=51820))
    assert _elements(firewall_view(plan.nodes["db-1"], facts).sets[:2]) == {
        "peer_endpoints ipv4_addr": [UNKNOWN_TEXT],
        "peer_endpoints6 ipv6_addr": ["2001:db8::7"],
    }


@pytest.mark.parametrize(
    ("elements", "interval"),
    [([], False), (["10.0.0.1", "443"], False), (["10.0.0.1", "10.0.0.0/8"], True), (["80", "90-91"], True)],
)
def test_only_a_set_with_networks_or_ranges_is_one_of_intervals(elements: list[str], interval: Any) -> None:
    assert (
        NamedSet(name="x", type="ipv4_addr", elements=[(each, "") for each in elements]).interval is interval
    )


def test_names_are_in_the_order_of_families_and_addresses_whatever_the_order_of_peers() -> None:
    plan = plan_of(MESH)
    node = _of_both_families(plan)
    shuffled = replace(node, peers=node.peers[::-1])
    for each in (node, shuffled):
        document = render_document(each, facts_of(plan), key_names_of(node), management_key=MANAGEMENT)
        hosts = document.partition("==> /etc/hosts <==\n")[2].partition("==>")[0]
        assert hosts.splitlines() == [
            "10.10.0.1 web-1",
            "10.10.0.2 web-2",
            "10.10.0.11 db-1",
            "fd00::1 web-1",
            "fd00::b db-1",
        ]


def test_a_document_begins_with_its_format_and_has_its_files_in_order() -> None:
    lines = documents_of(plan_of(MESH))["db-1"].splitlines()
    assert lines[0] == "wgmesh-files 1"
    assert [line for line in lines if line.startswith("==>")] == [
        "==> /etc/wireguard/wg0.conf <==",
        "==> /etc/wgmesh/firewall.nft <==",
        "==> /etc/sysctl.d/90-wgmesh.conf <==",
        "==> /etc/hosts <==",
        "==> /root/.ssh/authorized_keys <==",
        "==> end <==",
    ]
    assert lines[-1] == "==> end <=="
