"""What the plan says of a packet is what the ruleset does with it, in every family. Needs root."""

import os
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Interface, ip_address, ip_network
from typing import Any

import pytest

from mesh.host.files.document import parse_document
from mesh.plan import MeshPlan, NodePlan
from mesh.render import UNKNOWN, Endpoint, Moving, render_document
from mesh.settings import PortRange
from tests.firewall.played import NODES, firewall_of
from tests.firewall.world import (
    NODE_MESH,
    NODE_MESH6,
    NODE_PUBLIC6,
    OUTSIDE6,
    PEER6,
    PEERS,
    Knock,
    World,
)
from tests.unit.meshes import MANAGEMENT, documents_of, facts_of, key_names_of, plan_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

POLICY = [
    {"from": ["web"], "to": ["db"], "allow": ["tcp/5432-5433", "udp/53"]},
    {"from": ["web-2"], "to": ["all"], "allow": ["tcp/5433-5440", "tcp/80"]},
    {"from": ["db"], "to": ["web"], "allow": ["all"]},
]
PORTS = [
    *(PortRange(protocol="tcp", first=port, last=port) for port in (22, 80, 5431, 5432, 5433, 5440, 5441)),
    *(PortRange(protocol="udp", first=port, last=port) for port in (53, 80)),
]


IN_IPV4: dict[str, Any] = {"cidr": "10.10.0.0/24", "nodes": NODES}
IN_BOTH: dict[str, Any] = {
    **IN_IPV4,
    "cidr6": "fd00:10::/64",
    "nodes": {**NODES, "db-1": {**NODES["db-1"], "address6": NODE_MESH6}},
}


@pytest.mark.parametrize("mesh", [IN_IPV4, IN_BOTH], ids=["IPv4", "both families"])
@pytest.mark.parametrize(
    "policy", [None, [], POLICY, [{"from": ["mon-1"], "to": ["db"], "allow": ["all"]}]], ids=str
)
def test_what_policy_tests_are_asked_of_is_what_packets_meet(
    place: World, policy: Any, mesh: dict[str, Any]
) -> None:
    more = {} if policy is None else {"policy": policy}
    plan = plan_of({**mesh, "ssh": {"from": [PEERS[2], "203.0.113.0/24"]}, **more})
    target = plan.nodes["db-1"]
    place.load(firewall_of(documents_of(plan)["db-1"]))
    ways = [
        (peer, way)
        for peer in target.peers
        for way in zip(peer.addresses, target.overlay.addresses, strict=True)
    ]
    asked = [(peer, port) for peer, _ in ways for port in PORTS]
    knocks = [
        Knock(port.protocol, str(source), str(own.ip), port.first)
        for _, (source, own) in ways
        for port in PORTS
    ]
    with place.listening([port.first for port in PORTS if port.protocol == "udp"]):
        came_in = place.mesh.knock(knocks)
    planned = [target.access.lets_in(peer.name, peer.addresses, port) for peer, port in asked]
    assert {str(each): passed for each, passed in zip(knocks, came_in, strict=True)} == {
        str(each): passed for each, passed in zip(knocks, planned, strict=True)
    }


def _of_both_families(plan: MeshPlan) -> NodePlan:
    """db-1 in a mesh that has IPv6 addresses too: web-1 is PEER6."""
    node = plan.nodes["db-1"]
    six = ip_address(PEER6)
    assert node.access.ingress is not None
    return replace(
        node,
        overlay=replace(node.overlay, addresses=(*node.overlay.addresses, IPv6Interface(f"{NODE_MESH6}/64"))),
        access=replace(
            node.access,
            ingress=tuple(
                replace(each, addresses=(*each.addresses, six)) if each.source == "web-1" else each
                for each in node.access.ingress
            ),
        ),
        peers=tuple(
            replace(peer, addresses=(*peer.addresses, six), allowed_ips=(*peer.allowed_ips, ip_network(six)))
            if peer.name == "web-1"
            else peer
            for peer in node.peers
        ),
    )


def test_a_policy_holds_in_a_second_family_too(place: World) -> None:
    plan = plan_of({"cidr": "10.10.0.0/24", "nodes": NODES, "policy": POLICY})
    node = _of_both_families(plan)
    document = render_document(node, facts_of(plan), key_names_of(node), management_key=MANAGEMENT)
    assert f"Address = {NODE_MESH}/24, {NODE_MESH6}/64\n" in document
    assert f"AllowedIPs = {PEERS[0]}/32, {PEER6}/128\n" in document
    assert f"{PEER6} web-1\n" in document
    assert parse_document(document.encode()).wg.addresses == (f"{NODE_MESH}/24", f"{NODE_MESH6}/64")
    place.load(firewall_of(document))
    knocks = [
        Knock("tcp", PEER6, NODE_MESH6, 5432),
        Knock("tcp", PEER6, NODE_MESH6, 80),
        Knock("tcp", PEERS[0], NODE_MESH, 5432),
        Knock("tcp", PEERS[0], NODE_MESH, 80),
    ]
    assert place.mesh.knock(knocks) == [True, False, True, False]
    place.load(firewall_of(documents_of(plan)["db-1"]))
    assert place.mesh.knock(knocks[:1]) == [False], "without addresses in it, a mesh has no second family"


def test_peers_at_ipv6_endpoints_have_a_set_of_their_own(place: World) -> None:
    plan = plan_of({"cidr": "10.10.0.0/24", "nodes": NODES})
    node, facts = plan.nodes["db-1"], facts_of(plan)
    facts["web-1"] = replace(facts["web-1"], endpoint=Endpoint(address=ip_address(OUTSIDE6[0]), port=51820))
    facts["mon-1"] = replace(facts["mon-1"], endpoint=UNKNOWN)
    preview = render_document(node, facts, key_names_of(node), management_key=MANAGEMENT)
    ipv4, ipv6 = (part.partition("    }\n")[0] for part in preview.split("    set peer_endpoints")[1:3])
    assert "type ipv4_addr\n" in ipv4
    assert ":" not in ipv4.replace("type ipv4_addr", "")
    assert "type ipv6_addr\n" in ipv6
    assert OUTSIDE6[0] in ipv6
    facts["mon-1"] = replace(facts["mon-1"], endpoint=Endpoint(address=IPv4Address("192.0.0.3"), port=51820))
    document = render_document(
        node, facts, key_names_of(node), management_key=MANAGEMENT, moving=Moving(ports=(51821,))
    )
    place.load(firewall_of(document))
    with place.listening([51820]) as heard:
        knocks = [Knock("udp", source, NODE_PUBLIC6, 51820) for source in OUTSIDE6]
        assert place.outside.knock(knocks) == [True, False]
        place.outside.knock([replace(knock, port=51821) for knock in knocks])
    assert heard.packets == [(OUTSIDE6[0], 51820)] * 2, "the port that WireGuard moves from leads to it, too"
