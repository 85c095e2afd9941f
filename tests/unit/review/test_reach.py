"""What a review says of random changes is what the plan's own evaluation says, for every pair and port."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from itertools import permutations
from typing import Any, Literal

import pytest
from hypothesis import given

from mesh.plan import MeshPlan, NodePlan
from mesh.review.hetzner import CloudFirewalls
from mesh.review.nodes import read_disabled, read_nodes
from mesh.review.outside import INTERNET, compare_outside
from mesh.review.preview import Preview, read_preview
from mesh.review.reach import Difference, Reach, compare_reach
from mesh.review.rows import rows
from mesh.settings import PortRange
from tests.unit.meshes import plan_of
from tests.unit.review.changes import PORTS, changes
from tests.unit.review.previews import preview_of

Way = tuple[str, str, str, int]
"""From, to, protocol, port."""


def planned_ways(plan: MeshPlan) -> set[Way]:
    """All that is open between nodes, as the plan has it."""
    return {
        (name, node.name, protocol, port)
        for node in plan.nodes.values()
        for name, addresses in _others(node)
        for protocol, port in PORTS
        if node.access.lets_in(name, addresses, _port(protocol, port))
    }


def _others(node: NodePlan) -> Iterator[tuple[str, tuple[IPv4Address | IPv6Address, ...]]]:
    """The nodes that have a path to this one, with their addresses."""
    for peer in node.peers:
        yield peer.name, peer.addresses
        for relayed in peer.relays:
            yield relayed.name, relayed.addresses


def planned_from_the_internet(plan: MeshPlan) -> set[Way]:
    found = set()
    for node in plan.nodes.values():
        access = node.access
        everywhere = any(network.prefixlen == 0 for network in access.ssh_from if network.version == 4)
        for protocol, port in PORTS:
            asked = _port(protocol, port)
            ssh = everywhere and (protocol, port) == ("tcp", access.ssh_port)
            if ssh or any(public.overlaps(asked) for public in access.public):
                found.add((INTERNET, node.name, protocol, port))
    return found


def _port(protocol: str, port: int) -> PortRange:
    return PortRange(protocol="tcp" if protocol == "tcp" else "udp", first=port, last=port)


def told_ways(differences: Iterable[Difference], is_open: set[Way]) -> set[Way]:
    """The ways that differences tell; all that is open on that side, where one tells no ports."""
    found = set()
    for each in differences:
        pair = (each.source.removesuffix(" (IPv4)"), each.target)
        if each.traffic is None:
            found |= {way for way in is_open if way[:2] == pair}
        else:
            found |= {(*pair, *port) for port in PORTS if each.traffic.lets(*_known(*port))}
    return found


def _known(protocol: str, port: int) -> tuple[Literal["tcp", "udp"], int]:
    return ("tcp" if protocol == "tcp" else "udp"), port


def _read(before: Any, after: Any) -> Preview:
    return read_preview(preview_of(before, after))


def _kept(before: Any, after: Any) -> set[str]:
    """The nodes that are out of the mesh, and stay as they are."""
    return {name for name, node in after["nodes"].items() if not node["enabled"] and name in before["nodes"]}


def _reach(before: Any, after: Any) -> Reach:
    preview = _read(before, after)
    return compare_reach(read_nodes(preview), read_disabled(preview))


@given(changes())
def test_stated_and_planned_differences_between_nodes_are_equal(change: tuple[Any, Any]) -> None:
    before, after = (planned_ways(plan_of(mesh)) for mesh in change)
    reach = _reach(*change)
    assert reach.untold == {}
    assert told_ways(reach.gained, after) == after - before
    kept = _kept(*change)  # both of two such nodes keep their files, so they still reach each other
    assert told_ways(reach.lost, before) == {way for way in before - after if not {*way[:2]} <= kept}


def _four(**of_a: Any) -> dict[str, Any]:
    nodes = {name: {"address": f"10.10.0.{number}", "enabled": True} for number, name in enumerate("abcd", 1)}
    nodes["a"].update(of_a)
    nodes["b"].update({"endpoint": "none"} if of_a else {})
    return {
        "cidr": "10.10.0.0/24",
        "nodes": nodes,
        "policy": [{"from": ["all"], "to": ["a", "b"], "allow": ["tcp/22"]}],
    }


_SHAPES = (_four(), {**_four(), "links": [["c", "all"]]}, _four(endpoint="none", relay="c"))


@pytest.mark.parametrize("change", list(permutations(_SHAPES, 2)))
def test_links_and_relays_are_told_as_planned(change: tuple[Any, Any]) -> None:
    before, after = (planned_ways(plan_of(mesh)) for mesh in change)
    reach = _reach(*change)
    assert reach.untold == {}
    assert told_ways(reach.gained, after) == after - before
    assert told_ways(reach.lost, before) == before - after


def test_a_port_that_is_open_for_callers_is_told_as_open_to_the_internet() -> None:
    preview = _read(_SHAPES[0], _SHAPES[2])
    told = compare_outside(read_nodes(preview), CloudFirewalls.of(preview.steps)).gained
    assert {each.target for each in told} == {"c", "d"}
    assert {str(each.traffic) for each in told} == {"udp/51820"}


@given(changes())
def test_stated_and_planned_differences_from_the_internet_are_equal(change: tuple[Any, Any]) -> None:
    """But for nodes that are out of the mesh, whose firewalls stay as they are."""
    preview = _read(*change)
    before, after = (planned_from_the_internet(plan_of(mesh)) for mesh in change)
    reach = compare_outside(read_nodes(preview), CloudFirewalls.of(preview.steps))
    assert reach.untold == {}
    kept = _kept(*change)
    for told, planned in ((reach.gained, after - before), (reach.lost, before - after)):
        v4 = [each for each in told if not each.source.endswith("(IPv6)")]
        assert told_ways(v4, set()) == {way for way in planned if way[1] not in kept}
        unsure = {each.target for each in told if each.note}
        assert unsure.isdisjoint({step.name.removesuffix("-server") for step in preview.steps})


@given(changes())
def test_rows_say_what_the_differences_say(change: tuple[Any, Any]) -> None:
    reach = _reach(*change)
    for differences in (reach.gained, reach.lost):
        assert set(_taken_apart(differences)) == {
            (each.source, each.target, "all that it let in" if each.traffic is None else str(each.traffic))
            for each in differences
        }


def _taken_apart(differences: Iterable[Difference]) -> Iterator[tuple[str, str, str]]:
    for row in rows(differences):
        for source in row.sources:
            for target in row.targets - {source}:
                yield source, target, row.traffic
