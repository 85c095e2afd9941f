"""Runs that are stopped at any moment, and run again: the mesh is whole, and nothing is left over."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.testing import interrupt
from tests.system.world import World

pytestmark = pytest.mark.hosts

SERVERS = {"lab-db-1", "lab-web-1", "lab-web-2"}
# What `up` prints when it is about to do something, in the order in which it happens.
MOMENTS = [
    *("Updating (lab)", "management-key creating", "spread-0 creating", "web-1-ip creating"),
    *("web-1-server creating", "web-1-server created"),
    *("web-1-agent-file creating", "web-1-agent-file created", "web-1-keys creating", "web-1-keys created"),
    *("web-1-apply creating", "web-1-apply: retrying", "web-1-apply created"),
]
USUAL = ["web-1-server creating"]
DESTROYING = ["web-1-server deleting", "web-1-ip deleting"]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    try:
        world.start()
        yield world
    finally:
        world.end()


def _servers(world: World) -> set[str]:
    kept = json.loads((world.folder / ".lab" / "cloud" / "cloud.json").read_text())
    names = [server["name"] for server in kept["servers"].values()]
    assert len(names) == len(set(names))
    return set(names)


def _whole(world: World) -> None:
    world.up()
    reach = world.reach()
    assert reach.code == 0, reach.out
    assert _servers(world) == SERVERS
    assert world.lab("run", "preview", "--expect-no-changes").code == 0


def _gone(world: World) -> None:
    run = world.lab("down")
    assert run.code == 0, run.out
    assert "no state knew" not in run.out
    assert not (world.folder / ".lab" / "cloud").exists()
    left = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(world.folder).encode() in _read(path)
    ]
    assert left == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has just ended
        return b""


@pytest.mark.parametrize(
    "moment", [m if m in USUAL else pytest.param(m, marks=pytest.mark.long) for m in MOMENTS]
)
def test_up_killed_and_run_again_is_whole(fresh: World, moment: str) -> None:
    interrupt(fresh, ["up", "--yes", "--skip-preview"], moment, signal.SIGKILL)
    _whole(fresh)
    _gone(fresh)


@pytest.mark.long
def test_up_interrupted_once_lets_steps_end_and_is_whole_afterwards(fresh: World) -> None:
    interrupt(fresh, ["up", "--yes", "--skip-preview"], "web-1-keys creating", signal.SIGINT)
    state = fresh.json("stack", "export")["deployment"]
    assert not state.get("pending_operations")
    assert [r for r in state["resources"] if r["urn"].endswith("::web-1-server")]
    _whole(fresh)


def test_up_killed_and_then_taken_down_leaves_nothing(fresh: World) -> None:
    interrupt(fresh, ["up", "--yes", "--skip-preview"], "web-1-server creating", signal.SIGKILL)
    _gone(fresh)


@pytest.mark.long
@pytest.mark.parametrize("moment", DESTROYING)
def test_destroy_killed_and_run_again_leaves_nothing(fresh: World, moment: str) -> None:
    fresh.up()
    interrupt(fresh, ["destroy", "--yes", "--skip-preview"], moment, signal.SIGKILL)
    _gone(fresh)
