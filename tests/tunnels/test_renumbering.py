"""New addresses inside the mesh, through real tunnels: no packet between former or new ones is lost."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mesh.plan.held import with_held
from mesh.program.renumbering import plan_renumbering
from mesh.render import Moving, read_doors
from tests.tunnels.agent import CONF, NEEDS_PING, PING, PROGRAM, bring, bring_planned, converge, unbroken
from tests.tunnels.world import World, until, world
from tests.unit.meshes import plan_of

pytestmark = NEEDS_PING

POLICY = [{"from": ["web"], "to": ["db"], "allow": ["tcp/80"]}]


def _mesh(network: str, web: int = 1, **more: Any) -> dict[str, Any]:
    hosts = {"web": web, "app": 2, "db": 3}
    nodes = {name: {"address": f"10.{network}.0.{host}"} for name, host in hosts.items()}
    return {"cidr": f"10.{network}.0.0/24", "policy": POLICY, "nodes": nodes, **more}


@pytest.fixture
def place() -> Iterator[World]:
    with world(_mesh("10"), PROGRAM) as built:
        bring(built, _mesh("10"))
        until(lambda: built.nodes["web"].pings(built.nodes["app"]))
        yield built


def _step(place: World, raw: dict[str, Any], *only: str) -> None:
    """One `up`: what is held follows from the files that the nodes have. It reaches `only` these, or all."""
    plan = plan_of(raw)
    committed = {name: read_doors(node.document.raw.decode()) for name, node in place.nodes.items()}
    found = plan_renumbering(plan, committed)
    place.follow(with_held(plan, found.held), Moving(leads=found.leads))
    bring_planned(place, *only)


def _passes(place: World, source: str, target: str) -> bool:
    web = place.nodes["web"]
    return web.works(PING, "-n", "-c", "1", "-W", "2", "-I", source, target)


def _nothing_lost_while(place: World, raw: dict[str, Any], *pairs: tuple[str, str]) -> bool:
    """Do a step while `web` pings; returns whether every packet got an answer."""
    pings = [
        place.nodes["web"].start(PING, "-n", "-i", "0.01", "-I", source, target) for source, target in pairs
    ]
    time.sleep(0.5)
    _step(place, raw)
    time.sleep(0.5)
    lost = [ping for ping in pings if not unbroken(ping, at_least=50)]
    return not lost


def _own(place: World, name: str) -> list[str]:
    lines = place.nodes[name].run("ip", "-o", "-4", "address", "show", "wg0").splitlines()
    return sorted(line.split()[3] for line in lines)


FORMER, NEW = ("10.10.0.1", "10.10.0.3"), ("10.20.0.1", "10.20.0.3")


def test_a_mesh_moves_to_another_network(place: World) -> None:
    wish = _mesh("20")
    assert _nothing_lost_while(place, wish, FORMER)
    assert _own(place, "web") == ["10.10.0.1/24", "10.20.0.1/24"]
    assert _passes(place, *NEW)
    assert _nothing_lost_while(place, wish, FORMER, NEW)
    web = place.nodes["web"]
    assert [web.answers_on(f"10.{network}.0.3", port) for network in (10, 20) for port in (80, 81)] == [
        True, False, True, False,
    ]  # fmt: skip
    assert _nothing_lost_while(place, wish, NEW)
    assert _own(place, "web") == ["10.20.0.1/24"]
    assert not _passes(place, "wg0", FORMER[1])


def test_a_node_gets_another_address_in_the_same_network(place: World) -> None:
    """Its former address is the first of the network: when that goes, the kernel takes the others along."""
    wish = _mesh("10", web=50)
    new = ("10.10.0.50", "10.10.0.3")
    assert _nothing_lost_while(place, wish, FORMER)
    assert _nothing_lost_while(place, wish, FORMER, new)
    assert _nothing_lost_while(place, wish, new)
    assert _own(place, "web") == ["10.10.0.50/24"]


def _behind(network: str, other: str) -> dict[str, Any]:
    """A mesh with the networks of another one behind a node."""
    raw = _mesh(network, cidr6=f"fd00:{network}::/64")
    raw["nodes"]["app"]["routes"] = [f"10.{other}.0.0/24", f"fd00:{other}::/64"]
    return raw


def test_a_network_behind_a_node_becomes_that_of_the_mesh(place: World) -> None:
    """The kernel's route to a network and that to the same network behind a node are told apart."""
    for _run in range(3):
        _step(place, _behind("10", "20"))
    for network, other in (("20", "10"), ("10", "20")):
        _step(place, _behind(network, other))
        assert _sources(place, "web", f"10.{network}.0.3", f"fd00:{network}::3") == [
            f"10.{network}.0.1",
            f"fd00:{network}::1",
        ]


def test_of_three_addresses_the_first_one_of_the_file_counts(place: World) -> None:
    """When the first address of a network goes, the kernel adds a route from the next one behind ours."""
    web = place.nodes["web"]

    def bring_web(*hosts: int) -> None:
        addresses = ", ".join(f"10.10.0.{host}/24" for host in hosts)
        converge(web, web.document.files[CONF].replace("10.10.0.1/24", addresses))

    for hosts in ((1, 20, 30), (30, 20, 1), (30, 20), (20, 30), (30, 20, 1), (20, 1)):
        bring_web(*hosts)
        route = json.loads(web.run("ip", "-j", "route", "get", "10.10.0.3"))[0]
        assert route["prefsrc"] == f"10.10.0.{hosts[0]}", hosts


@pytest.mark.parametrize("length", [56, 68])
def test_the_network_of_ipv6_becomes_larger_or_smaller(place: World, length: int) -> None:
    """An interface has an IPv6 address once, whatever the length of its network."""
    for _run in range(2):
        _step(place, _mesh("10", cidr6="fd00:10::/64"))
    assert _nothing_lost_while(place, _mesh("10", cidr6=f"fd00:10::/{length}"), FORMER)
    shown = place.nodes["web"].run("ip", "-6", "route", "show", "dev", "wg0", "proto", "kernel")
    assert f"fd00:10::/{length} " in shown
    assert "/64 " not in shown.replace("fe80::/64 ", "")
    assert _sources(place, "web", "fd00:10::3") == ["fd00:10::1"]


def _sources(place: World, name: str, *targets: str) -> list[str]:
    """From which address the kernel of a node sends to each of these; each answers a ping from there."""
    node = place.nodes[name]
    for target in targets:
        assert node.works(PING, "-n", "-c", "1", "-W", "2", target), f"{name} -> {target}"
    routes = (json.loads(node.run("ip", "-j", "route", "get", target))[0] for target in targets)
    return [each["prefsrc"] for each in routes]


@pytest.mark.parametrize(
    ("more", "old", "new", "db"),
    [
        ({}, "10.10.0.1", "10.10.0.50", "10.10.0.3"),
        ({"cidr6": "fd00:10::/64"}, "fd00:10::1", "fd00:10::32", "fd00:10::3"),
    ],
)
def test_a_node_sends_from_an_address_that_all_its_peers_take(
    place: World, more: dict[str, Any], old: str, new: str, db: str
) -> None:
    """Another address in the same network; in each run, a node is not reached at first."""
    for _run in range(2):
        _step(place, _mesh("10", **more))
    wish = _mesh("10", web=50, **more)
    _step(place, wish, "web", "app")
    assert _sources(place, "web", db) == [old]
    _step(place, wish)
    assert _sources(place, "web", db) == [old]
    _step(place, wish, "web", "app")
    assert _sources(place, "web", db) == [new]
    _step(place, wish)
    _step(place, wish, "app", "db")
    assert _sources(place, "web", db) == [new]
    _step(place, wish)
    assert _sources(place, "web", db) == [new]


def _moved(network: str) -> dict[str, Any]:
    """A mesh with a narrow path, a network behind a node, and both families."""
    raw = _mesh(network, cidr6=f"fd00:{network}::/64")
    raw["nodes"]["app"]["underlayMtu"] = 1400
    raw["nodes"]["db"]["routes"] = ["172.20.0.0/24", "fd20::/64"]
    del raw["policy"]
    return raw


def test_routes_of_their_own_send_from_an_address_that_peers_take(place: World) -> None:
    """A narrow path and a network behind a node, while a mesh moves; each run misses a node at first."""
    behind = ["172.20.0.1", "fd20::1"]
    for address in behind:
        place.nodes["db"].run("ip", "address", "add", address, "dev", "lo")
    for _run in range(4):
        _step(place, _moved("10"))
    wish = _moved("20")

    def sources(network: int) -> list[str]:
        app = [f"10.{network}.0.2", f"fd00:{network}::2"]
        return _sources(place, "web", *app, *behind)

    former, new = ([f"10.{network}.0.1", f"fd00:{network}::1"] * 2 for network in (10, 20))
    for missed in ("db", "app"):
        _step(place, wish, *({"web", "app", "db"} - {missed}))
        assert sources(10) == former
    _step(place, wish)
    assert sources(20) == new
    for missed in ("web", "db"):
        _step(place, wish, *({"web", "app", "db"} - {missed}))
        assert sources(20) == new
    _step(place, wish)
    assert sources(20) == new
    assert " src " not in place.nodes["web"].run("ip", "route", "show", "proto", "87")
