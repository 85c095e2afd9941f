"""A review of networks behind nodes says what the plan decides, and what a change of `routes` comes to."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

from hypothesis import given

from mesh.plan import NodePlan
from mesh.review.evaluate import Firewall
from mesh.review.files import FIREWALL, read_files
from mesh.review.nodes import read_disabled, read_nodes
from mesh.review.preview import read_preview
from mesh.review.reach import compare_reach
from mesh.review.rules import Packet
from tests.unit.meshes import documents_of, plan_of
from tests.unit.plan.test_routes import NAMES, routed
from tests.unit.review.previews import preview_of

OFFICE = {"address": "10.10.0.1", "routes": ["10.20.0.0/16"]}
NODES: dict[str, Any] = {
    "office": OFFICE,
    "db-1": {"address": "10.10.0.2"},
    "web-1": {"address": "10.10.0.3"},
}
HTTP = [{"from": ["web-1"], "to": ["10.20.0.0/16"], "allow": ["tcp/80"]}]
LDAP = [{"from": ["10.20.0.0/16"], "to": ["db-1"], "allow": ["tcp/389"]}]


def _opens(firewall: Firewall, source: str, target: str, *, onward: bool) -> bool:
    packet = Packet(
        interface="wg0",
        source=ip_network(source)[-1],
        target=ip_network(target)[0] if onward else ip_address(target),
        onward=onward,
    )
    return firewall.let_in(packet).lets("tcp", 80)


@given(routed())
def test_a_table_opens_networks_as_planned(mesh: dict[str, Any]) -> None:
    plan = plan_of(mesh)
    documents = documents_of(plan)
    for name, node in plan.nodes.items():
        if not node.enabled:
            continue
        firewall = Firewall(read_files(documents[name])[FIREWALL])
        assert firewall.behind == {each.network for each in node.access.routes}
        for own in node.overlay.addresses:
            for source, sends in _sources(node, own.version):
                for each in node.access.routes:
                    if each.network.version == own.version:
                        wanted = each.ingress is None or source in {one.source for one in each.ingress}
                        assert _opens(firewall, sends, str(each.network), onward=True) == wanted
                assert _opens(firewall, sends, str(own.ip), onward=False) == (
                    node.access.ingress is None or source in {one.source for one in node.access.ingress}
                )
    assert set(plan.nodes) == set(NAMES)


def _sources(node: NodePlan, version: int) -> Iterator[tuple[str, str]]:
    """Yield the members that peers bring, and what each sends from in a family."""
    for peer in node.peers:
        yield from ((peer.name, str(each)) for each in peer.addresses if each.version == version)
        yield from ((f"{net} behind {peer.name}", str(net)) for net in peer.routes if net.version == version)


def _told(before: dict[str, Any], after: dict[str, Any]) -> tuple[set[str], set[str]]:
    preview = read_preview(preview_of(before, after))
    reach = compare_reach(read_nodes(preview), read_disabled(preview))
    assert reach.untold == {}
    gained, lost = (
        {f"{each.source} -> {each.target}: {each.traffic}" for each in found}
        for found in (reach.gained, reach.lost)
    )
    return gained, lost


def _mesh(nodes: dict[str, Any], *policy: Any) -> dict[str, Any]:
    return {"cidr": "10.10.0.0/24", "nodes": nodes, "policy": [*policy]}


def test_a_network_that_comes_and_goes_is_told_with_who_reaches_whom() -> None:
    without = _mesh({**NODES, "office": {"address": "10.10.0.1"}})
    routes = _mesh(NODES, *HTTP, *LDAP)
    pings = {
        "10.20.0.0/16 behind office -> web-1: ping",
        "10.20.0.0/16 behind office -> db-1: tcp/389, ping",
        "db-1 -> 10.20.0.0/16 behind office: ping",
        "web-1 -> 10.20.0.0/16 behind office: tcp/80, ping",
    }
    assert _told(without, routes) == (pings, set())
    assert _told(routes, without) == (set(), pings)


def test_a_network_of_ipv6_is_told_by_name() -> None:
    def mesh(*policy: Any) -> dict[str, Any]:
        nodes = {**NODES, "office": {**OFFICE, "routes": ["10.20.0.0/16", "fd20::/64"]}}
        return {**_mesh(nodes, *policy), "cidr6": "fd00:10::/64"}

    rule = {"from": ["web-1"], "to": ["fd20::/64"], "allow": ["tcp/80"]}
    assert _told(mesh(), mesh(rule)) == ({"web-1 -> fd20::/64 behind office: tcp/80"}, set())


def test_a_rule_about_a_network_is_told() -> None:
    assert _told(_mesh(NODES, *HTTP), _mesh(NODES, *LDAP)) == (
        {"10.20.0.0/16 behind office -> db-1: tcp/389"},
        {"web-1 -> 10.20.0.0/16 behind office: tcp/80"},
    )
