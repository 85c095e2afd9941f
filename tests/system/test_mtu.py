"""MTU per path on a whole rehearsal: narrow networks below, a link that is lowered by hand."""

import json
import sys
from typing import Any

import pytest

from lab.testing import Run
from tests.system.world import World

pytestmark = pytest.mark.hosts

NARROW = {"web-2": 1400, "db-1": 1280}
NODES = ("web-1", "web-2", "db-1")


def _mesh(world: World, *words: str) -> Run:
    return world.command(sys.executable, "-m", "mesh", *words)


def _link(world: World, node: str, size: int) -> None:
    hosts = world.hosts
    hosts.set_link_size(hosts.find(f"lab-{node}"), size)


def _narrow(settings: dict[str, Any]) -> None:
    for name, size in NARROW.items():
        settings["nodes"][name]["underlayMtu"] = size


@pytest.mark.long
def test_narrow_networks_are_told_measured_and_found_when_they_change(world: World) -> None:
    world.bring()
    for name, size in NARROW.items():
        _link(world, name, size)
    before = _mesh(world, "reach", "--mtu")
    assert before.code == 1
    assert "black hole: " in before.out
    world.edit_mesh(_narrow)
    world.up()
    after = _mesh(world, "reach", "--mtu", "--json")
    assert after.code == 0, after.out
    known = {"web-1": 1500, **NARROW}
    sizes = {a: {b: min(known[a], known[b]) - 80 for b in NODES if b != a} for a in NODES}
    found = json.loads(after.out)["pairs"]
    assert {a: {b: path["passes"] for b, path in to.items()} for a, to in found.items()} == sizes
    checked = _mesh(world, "check")
    assert checked.code == 0, checked.out
    _link(world, "web-1", 1340)
    lowered = _mesh(world, "check")
    assert lowered.code == 1
    assert "path to web-2" in lowered.out or "path to web-1" in lowered.out
    for name in NODES:
        _link(world, name, 1500)
