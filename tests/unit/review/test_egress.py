"""A review says who reaches the IPv4 internet over another node, and takes it for nobody's network."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from mesh.review.egress import compare_egress
from mesh.review.evaluate import Firewall
from mesh.review.files import FIREWALL, read_files, read_tunnel
from mesh.review.form import as_terminal
from mesh.review.hetzner import CloudFirewalls
from mesh.review.nodes import read_disabled, read_nodes
from mesh.review.outside import compare_outside
from mesh.review.preview import read_preview
from mesh.review.reach import compare_reach
from mesh.review.report import make_review
from mesh.review.rules import Packet
from mesh.review.traffic import EVERYTHING, NOTHING
from tests.unit.review.previews import preview_of

GOLDEN = Path(__file__).parents[1] / "render" / "golden" / "egress"
SIX = {"address": "10.10.0.3", "publicIpv4": False, "publicIpv6": True}
POLICIES: list[Any] = [None, [{"from": ["web"], "to": ["six"], "allow": ["tcp/80"]}]]


def _mesh(policy: Any = None, **six: Any) -> dict[str, Any]:
    nodes = {
        "hub": {"address": "10.10.0.1", "publicIpv6": True},
        "web": {"address": "10.10.0.2", "publicIpv6": True},
        "six": {**SIX, **six},
    }
    return {"cidr": "10.10.0.0/24", "nodes": nodes, **({} if policy is None else {"policy": policy})}


def _told(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    found = compare_egress(read_nodes(read_preview(preview_of(before, after))))
    return [f"{'+' if each.gained else '-'} {each.node} over {each.over}" for each in found]


@pytest.mark.parametrize("policy", POLICIES, ids=["without a policy", "policy"])
def test_it_is_told_who_gets_out_and_nothing_else_changes(policy: Any) -> None:
    before, after = _mesh(policy), _mesh(policy, egress="hub")
    assert _told(before, after) == ["+ six over hub"]
    assert _told(after, before) == ["- six over hub"]
    assert _told(after, _mesh(policy, egress="web")) == ["- six over hub", "+ six over web"]
    assert _told(after, _mesh(policy, egress="hub", groups=["a"])) == []
    for change in ((before, after), (after, before)):
        preview = read_preview(preview_of(*change))
        nodes = read_nodes(preview)
        for reach in (
            compare_reach(nodes, read_disabled(preview)),
            compare_outside(nodes, CloudFirewalls.of(preview.steps)),
        ):
            assert (reach.gained, reach.lost, reach.untold) == ([], [], {})


def test_the_first_sentence_names_who_gets_out() -> None:
    without, hub, web = _mesh(), _mesh(egress="hub"), _mesh(egress="web")
    assert [_headline(*change) for change in ((without, hub), (hub, without), (hub, web))] == [
        "1 node reaches the IPv4 internet over another node (six); files change on 2 nodes",
        "1 node no longer reaches the IPv4 internet over another node (six); files change on 2 nodes",
        "1 node reaches the IPv4 internet over another node (six); files change on 3 nodes",
    ]


def _headline(before: dict[str, Any], after: dict[str, Any]) -> str:
    return make_review(read_preview(preview_of(before, after))).headline


def test_the_review_has_a_line_about_it() -> None:
    lost = as_terminal(make_review(read_preview(preview_of(_mesh(egress="hub"), _mesh()))))
    assert "six no longer reaches the IPv4 internet over hub" in lost
    gained = as_terminal(make_review(read_preview(preview_of(_mesh(), _mesh(egress="hub")))))
    assert "six reaches the IPv4 internet over hub" in gained
    assert "cannot be told" not in lost + gained


def test_a_node_that_gives_egress_under_another_name_is_the_same() -> None:
    before, after = _mesh(egress="hub"), _mesh(egress="exit")
    after["nodes"] = {
        "exit" if name == "hub" else name: {**node, "formerly": ["hub"]} if name == "hub" else node
        for name, node in after["nodes"].items()
    }
    nodes = {each.name: each for each in read_nodes(read_preview(preview_of(before, after))).values()}
    exit_ = replace(nodes["exit"], former="hub", before=nodes.pop("hub").before)
    assert compare_egress({**nodes, "exit": exit_}) == []
    assert compare_egress({**nodes, "exit": replace(exit_, former="exit")}) != []


def test_a_node_that_is_out_gives_none() -> None:
    out = _mesh(egress="hub")
    out["nodes"]["hub"]["enabled"] = False
    assert _told(_mesh(egress="hub"), out) == ["- six over hub"]


def test_the_internet_is_no_network_of_the_peer() -> None:
    peers = read_tunnel(read_files((GOLDEN / "six-1.txt").read_text())).peers
    assert {name for name, peer in peers.items() if peer.egress} == {"hub"}
    assert [peers[name].networks for name in ("hub", "lan")] == [(), (ip_network("10.20.0.0/16"),)]


@pytest.mark.parametrize(
    ("source", "target", "passes"),
    [
        ("10.10.0.3", "198.51.100.7", True),
        ("10.10.0.4", "198.51.100.7", False),
        ("10.10.0.3", "192.168.1.1", False),
        ("10.10.0.3", "100.64.0.1", False),
        ("10.10.0.3", "169.254.169.254", False),
        ("10.10.0.3", "10.20.0.1", False),
        ("10.10.0.3", "10.10.0.5", False),
        ("10.10.0.3", "127.0.0.1", False),
        ("10.10.0.3", "224.0.0.1", False),
        ("10.10.0.3", "255.255.255.255", False),
    ],
)
def test_only_those_that_are_named_reach_only_the_internet(source: str, target: str, passes: bool) -> None:  # noqa: FBT001
    firewall = Firewall(read_files((GOLDEN / "hub.txt").read_text())[FIREWALL])
    packet = Packet(interface="wg0", source=ip_address(source), target=ip_address(target), onward=True)
    assert firewall.let_in(packet) == (EVERYTHING if passes else NOTHING)
