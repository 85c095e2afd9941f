"""Nodes behind NAT, a relay and a public node: packets through real tunnels. Needs root, for namespaces."""

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tests.tunnels.agent import NEEDS_TUNNELS, PROGRAM
from tests.tunnels.world import OUTSIDE, Node, World, until, world
from tests.unit.meshes import plan_of

pytestmark = NEEDS_TUNNELS

MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "nodes": {
        "hub": {"address": "10.10.0.1"},
        "web": {"address": "10.10.0.2"},
        "office": {"address": "10.10.0.3", "endpoint": "none", "relay": "hub", "keepalive": 1},
        "home": {"address": "10.10.0.4", "endpoint": "none", "keepalive": 1},
    },
    "policy": [{"from": ["office"], "to": ["home"], "allow": ["tcp/5432"]}],
}


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    with world(MESH, PROGRAM) as built:
        yield built


def _key(node: Node, other: Node) -> str:
    """The public key under which a node has another one."""
    allowed = f"{other.inner}/32"
    return next(key for key, peer in node.device().peers.items() if allowed in peer.allowed_ips)


def _heard(node: Node, other: Node) -> str | None:
    return node.device().peers[_key(node, other)].endpoint


def _everybody_pings(place: World) -> bool:
    return all(one.pings(other) for one, other in permutations(place.nodes.values(), 2))


def test_every_pair_pings_and_nobody_reaches_a_node_behind_nat_from_outside(place: World) -> None:
    until(lambda: _everybody_pings(place))
    web, office = place.nodes["web"], place.nodes["office"]
    assert web.pings(place.nodes["hub"], outer=True)
    assert not web.pings(office, outer=True)


def test_the_policy_of_the_end_decides_what_a_relay_brings(place: World) -> None:
    office, home = place.nodes["office"], place.nodes["home"]
    until(lambda: office.pings(home))
    with home.listening(5432, 8080), office.listening(5432):
        assert office.connects(home, 5432) == office.inner
        assert office.connects(home, 8080) is None
        assert home.connects(office, 5432) is None


def test_a_relay_passes_on_no_other_pair(place: World) -> None:
    """A node that sends everything to the relay gets no further than the relay."""
    web, hub, office = (place.nodes[name] for name in ("web", "hub", "office"))
    until(lambda: web.pings(hub) and web.pings(office))
    key = _key(web, hub)
    web.run("wg", "set", "wg0", "peer", key, "allowed-ips", f"{hub.inner}/32,{office.inner}/32")
    # the end would refuse, too: let the end take everything from the relay
    relay = _key(office, hub)
    allowed = ",".join(f"{place.nodes[name].inner}/32" for name in ("hub", "web", "home"))
    office.run("wg", "set", "wg0", "peer", relay, "allowed-ips", allowed)
    try:
        assert web.pings(hub)
        assert not web.pings(office)
        place.nodes["hub"].run("nft", "flush", "chain", "inet", "wgmesh", "forward_mesh")
        place.nodes["hub"].run("nft", "add", "rule", "inet", "wgmesh", "forward_mesh", "accept")
        assert web.pings(office), "without the relay's rules the packet would have come through"
    finally:
        place.apply()


def test_a_peer_that_calls_from_elsewhere_stays_there_while_something_else_changes(
    place: World, tmp_path: Path
) -> None:
    hub, web, office = (place.nodes[name] for name in ("hub", "web", "office"))
    until(lambda: _everybody_pings(place))
    assert hub.bring(tmp_path, *place.files(hub.plan)) == 0, "the agent finds nothing to do"
    place.nat(OUTSIDE["second"], first_port=30_000)
    until(lambda: (_heard(hub, office) or "").startswith(f"{OUTSIDE['second']}:300"))
    until(lambda: _everybody_pings(place))
    roamed, known = _heard(hub, office), _heard(hub, web)
    hub.run("wg", "set", "wg0", "peer", _key(hub, web), "endpoint", "192.0.2.99:51820")
    nodes = {**MESH["nodes"], "hub": {**MESH["nodes"]["hub"], "keepalive": 7}}
    changed = plan_of({**MESH, "nodes": nodes})

    assert hub.bring(tmp_path, *place.files(changed.nodes["hub"])) == 1
    assert {peer.keepalive for peer in hub.device().peers.values()} == {7}
    assert _heard(hub, office) == roamed
    assert _heard(hub, web) in {"192.0.2.99:51820", known}, "the files say nothing new of web"
    assert hub.pings(office)
    assert place.nodes["home"].pings(office)
    until(lambda: web.pings(hub) and hub.pings(web))


@pytest.mark.long
def test_an_interface_that_is_made_anew_gets_the_endpoints_of_the_files(place: World, tmp_path: Path) -> None:
    hub, web, office = (place.nodes[name] for name in ("hub", "web", "office"))
    text, keys = place.files(hub.plan)
    hub.bring(tmp_path, text, keys)
    for key in hub.device().peers:
        hub.run("wg", "set", "wg0", "peer", key, "remove")
    assert hub.bring(tmp_path, text, keys) == 1
    assert _heard(hub, web) == f"{web.outer}:51820"
    until(lambda: hub.pings(office) and _everybody_pings(place))
