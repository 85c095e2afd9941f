"""What a review says of a change is what packets meet before and after the change. Needs root."""

import os
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given

from mesh.review.hetzner import CloudFirewalls
from mesh.review.nodes import read_disabled, read_nodes
from mesh.review.outside import INTERNET, compare_outside
from mesh.review.preview import read_preview
from mesh.review.reach import Difference, compare_reach
from tests.examples import examples
from tests.firewall.played import firewall_of
from tests.firewall.world import NODE_MESH, NODE_PUBLIC, PEERS, STRANGER, Knock, World
from tests.unit.review.changes import PORTS, changes
from tests.unit.review.previews import document_of, preview_of

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.long,
]

PLAYED = "mail"
SENDERS = {"web-1": PEERS[0], "web-2": PEERS[1], "db-1": PEERS[2]}


def _here(mesh: dict[str, Any]) -> dict[str, Any]:
    """The same mesh, whose node `mail` has the address of the node that the world plays."""
    nodes = dict(mesh["nodes"])
    nodes[PLAYED] = {**nodes.get(PLAYED, {"groups": []}), "address": NODE_MESH, "enabled": True}
    return {**mesh, "nodes": nodes}


def _met(
    place: World, mesh: dict[str, Any], knocks: Sequence[tuple[str, Knock]]
) -> set[tuple[str, str, int]]:
    """Return which knocks get in: sender, protocol, port. No one is let in who is no peer."""
    document = document_of(mesh, PLAYED)
    assert document is not None
    place.load(firewall_of(document))
    inside = [(sender, knock) for sender, knock in knocks if sender in SENDERS]
    outside = [(sender, knock) for sender, knock in knocks if sender == INTERNET]
    with place.listening(sorted({port for protocol, port in PORTS if protocol == "udp"})):
        passed = [
            *zip(inside, place.mesh.knock([knock for _, knock in inside]), strict=True),
            *zip(outside, place.outside.knock([knock for _, knock in outside]), strict=True),
        ]
    members = {name for name, node in mesh["nodes"].items() if node.get("enabled", True)} | {INTERNET}
    return {
        (sender, knock.protocol, knock.port) for (sender, knock), came in passed if came and sender in members
    }


def _told(differences: Sequence[Difference]) -> set[tuple[str, str, int]]:
    """Return what differences tell of senders that the world plays."""
    found = {
        (each.source.removesuffix(" (IPv4)"), protocol, port)
        for each in differences
        if each.target == PLAYED and each.traffic is not None and not each.source.endswith("(IPv6)")
        for protocol, port in PORTS
        if each.traffic.lets("tcp" if protocol == "tcp" else "udp", port)
    }
    return {way for way in found if way[0] in {INTERNET, *SENDERS}}


@examples(0.1)
@given(change=changes())
def test_packets_meet_the_differences_that_a_review_tells(place: World, change: tuple[Any, Any]) -> None:
    before, after = (_here(mesh) for mesh in change)
    preview = read_preview(preview_of(before, after))
    nodes = read_nodes(preview)
    inside = compare_reach(nodes, read_disabled(preview))
    outside = compare_outside(nodes, CloudFirewalls.of(preview.steps))
    sources = {INTERNET: (STRANGER, NODE_PUBLIC), **{name: (ip, NODE_MESH) for name, ip in SENDERS.items()}}
    knocks = [
        (name, Knock(protocol, *pair, port)) for name, pair in sources.items() for protocol, port in PORTS
    ]
    met_before, met_after = _met(place, before, knocks), _met(place, after, knocks)
    assert _told([*inside.gained, *outside.gained]) == met_after - met_before
    assert _told([*inside.lost, *outside.lost]) == met_before - met_after
