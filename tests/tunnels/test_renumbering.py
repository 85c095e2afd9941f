"""New addresses inside the mesh, through real tunnels: no packet between former or new ones is lost."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from mesh.plan.held import with_held
from mesh.program.renumbering import plan_renumbering
from mesh.render import Moving, read_doors
from tests.tunnels.agent import NEEDS_PING, PING, PROGRAM, bring, bring_planned, unbroken
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


def _step(place: World, raw: dict[str, Any]) -> None:
    """One `up`: what is held follows from the files that the nodes have."""
    plan = plan_of(raw)
    committed = {name: read_doors(node.document.raw.decode()) for name, node in place.nodes.items()}
    found = plan_renumbering(plan, committed)
    place.follow(with_held(plan, found.held), Moving(leads=found.leads))
    bring_planned(place)


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
