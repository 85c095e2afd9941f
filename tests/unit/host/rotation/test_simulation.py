"""Whole rotations of several nodes, with the real state machine, and all that can go wrong."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.host.rotation.messages import Way
from mesh.host.rotation.pairs import Pairs
from mesh.host.rotation.progress import Phase, Progress
from tests.examples import examples
from tests.unit.host.rotation.meshes import Mesh, mesh
from tests.unit.host.rotation.simulation import DeadPairError, Fault, World

NAMES = ("web-1", "web-2", "db-1", "db-2")
BEFORE = mesh(*NAMES[:3])
ALL = mesh(*NAMES[:3], **dict.fromkeys(NAMES[:3], 2))
# Without faults: skews of 5 s, and twice what the lab took.
SOON = 40.0
LINGER = 620.0


def rotated(
    before: Mesh, after: Mesh, *, skews: tuple[float, ...] = (0.0, 2.3, 4.9), loss: float = 0.0
) -> World:
    world = World(before, seed=1, loss=loss)
    world.apply(after, skews)
    world.run(SOON)
    assert world.unfinished() == []
    assert [node.name for node in world.nodes.values() if node.disk.progress and node.up] == []
    return world


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(mesh(*NAMES[:3], **{"web-1": 2}), id="one node"),
        pytest.param(mesh(*NAMES[:3], **{"web-1": 2, "db-1": 2}), id="two nodes"),
        pytest.param(ALL, id="all nodes"),
        pytest.param(replace(BEFORE, preshared=2), id="pre-shared keys"),
        pytest.param(replace(ALL, preshared=2), id="all"),
        pytest.param(replace(mesh(*NAMES[:3], **{"web-1": 2}), preshared=2), id="one and pre-shared keys"),
        pytest.param(replace(ALL, callers=frozenset(["web-2"])), id="one has no endpoint"),
    ],
)
@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_keys_change_and_every_packet_is_read(after: Mesh, loss: float) -> None:
    before = replace(BEFORE, callers=after.callers)
    rotated(before, after, loss=loss)


def test_a_mesh_of_one_node_has_nobody_to_wait_for() -> None:
    world = World(mesh("web-1"))
    world.apply(mesh("web-1", **{"web-1": 2}))
    world.run(0.0)
    assert world.unfinished() == []


def test_who_is_late_is_waited_for_without_end() -> None:
    world = World(BEFORE, seed=2)
    world.apply(ALL, but=["db-1"])
    world.run(4000.0)
    assert [line for line in world.unfinished() if "db-1" not in line.split(":")[0]] == [
        f"{name}: {world.nodes[name].progress()} waits for {{'db-1': 'no word on port 51821'}}"
        for name in ("web-1", "web-2")
    ]
    world.apply_on("db-1", ALL)
    world.run(4000.0 + SOON)
    assert world.unfinished() == []


@pytest.mark.parametrize("but", NAMES[:3])
def test_who_was_down_from_the_start_comes_back_and_ends_with_all(but: str) -> None:
    world = World(BEFORE, seed=3)
    world.down(world.nodes[but])
    world.apply(ALL, but=[but])
    world.run(300.0)
    node = world.nodes[but]
    node.up = True
    world.start(node)
    world.check(node)
    world.run(330.0)
    world.apply_on(but, ALL)
    world.run(330.0 + SOON)
    assert world.unfinished() == []


@pytest.mark.parametrize("own", [1, 2])
def test_who_is_added_in_the_same_run_is_reached_at_once(own: int) -> None:
    before = mesh(*NAMES[:3])
    after = mesh(*NAMES, **{"web-1": 2, "web-2": own, "db-1": own})
    rotated(before, after, skews=(3.0, 1.0, 2.0, 0.0))
    rotated(before, after, skews=(0.0, 1.0, 2.0, 6.0))


def test_who_leaves_in_the_same_run_is_not_waited_for() -> None:
    world = World(mesh(*NAMES), seed=4)
    world.apply(mesh(*NAMES, **dict.fromkeys(NAMES, 2)).without("db-2"), (0.0, 2.0, 4.0))
    world.run(SOON)
    assert world.unfinished() == []


def test_who_leaves_while_all_wait_for_it_lets_them_go_on_and_comes_back_by_evidence() -> None:
    """db-2 was off during the whole rotation. It has old keys, and knows nobody who has them."""
    after = mesh(*NAMES, **dict.fromkeys(NAMES, 2))
    world = World(mesh(*NAMES), seed=5)
    world.down(world.nodes["db-2"])
    world.apply(after, (0.0, 2.0, 4.0), but=["db-2"])
    world.run(100.0)
    assert len(world.unfinished()) == 4
    world.apply(after.without("db-2"))
    world.run(100.0 + SOON)
    assert world.unfinished() == []
    late = world.nodes["db-2"]
    late.blind, late.up = True, True
    world.start(late)
    world.apply(after)
    world.run(200.0)
    assert [line.partition(":")[0] for line in world.unfinished()] == ["db-2"]
    assert late.pairs
    assert late.pairs.waits(world.now) == dict.fromkeys(NAMES[:3], "no word on port 51821")
    world.controller()
    world.run(203.0)
    assert not late.blind
    world.run(200.0 + SOON)
    assert world.unfinished() == []


def test_who_is_taken_back_while_the_others_still_rotate_needs_no_evidence() -> None:
    after = mesh(*NAMES, **dict.fromkeys(NAMES, 2))
    world = World(mesh(*NAMES), seed=6)
    world.apply(after, but=["db-2", "db-1"])
    world.run(50.0)
    world.apply(after.without("db-2"), but=["db-1"])
    world.run(60.0)
    world.apply(after)
    world.run(60.0 + SOON)
    assert world.unfinished() == []


def test_who_is_taken_back_after_the_others_got_new_keys_is_reached_by_the_second_interface() -> None:
    """web-1 and db-1 hold each other in the last phase, so web-1 is not at its end when db-2 comes back."""
    after = mesh(*NAMES, **dict.fromkeys(NAMES, 2))
    world = World(mesh(*NAMES), seed=7)
    world.apply(after, but=["db-2"])
    world.run(20.0)
    world.apply(after.without("db-2"))
    while {world.nodes[name].progress().phase for name in NAMES[:3]} != {Phase.REKEYED}:  # type: ignore[union-attr]
        world.run(world.now + 0.1)
    world.nodes["db-2"].blind = True
    world.apply(after, (0.0, 0.1, 0.2, 0.5))
    world.run(world.now + 4.0)
    world.nodes["db-2"].blind = False
    world.check(world.nodes["db-2"])
    world.run(world.now + SOON)
    assert world.unfinished() == []


@pytest.mark.parametrize("stage", ["promise", "deed"])
@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("spared", range(8))
def test_who_is_killed_at_any_step_goes_on(*, stage: str, power: bool, spared: int) -> None:
    world = World(BEFORE, seed=spared)
    world.apply(ALL, (0.0, 1.0, 2.0))
    fault = Fault(0.0, "web-2", stage, away=3.0, power=power, spared=spared)
    world.fault(fault)
    world.run(SOON + 10)
    assert world.unfinished() == []
    assert spared > 4 or world.nodes["web-2"].fault is None


@pytest.mark.parametrize("at", [1.0, 4.0, 7.0, 10.0, 13.0])
def test_power_fails_everywhere_at_once(at: float) -> None:
    world = World(BEFORE, seed=8)
    world.apply(ALL, (0.0, 1.0, 2.0))
    for name in BEFORE.names():
        world.fault(Fault(at, name, away=5.0 + BEFORE.number(name), power=True))
    world.run(at + SOON)
    assert world.unfinished() == []


def test_a_firewall_before_the_second_port_holds_up_its_node_alone() -> None:
    world = World(BEFORE, seed=10)
    world.blocked.add("db-1")
    world.apply(ALL, (0.0, 1.0, 2.0))
    world.run(300.0)
    waits = {name: node.pairs.waits(300.0) for name, node in world.nodes.items() if node.pairs}
    assert waits == {
        "web-1": {"db-1": "no word on port 51821"},
        "web-2": {"db-1": "no word on port 51821"},
        "db-1": dict.fromkeys(["web-1", "web-2"], "no word on port 51821"),
    }
    assert [len(world.nodes[name].kernel.redirects) for name in BEFORE.names()] == [1, 1, 0]  # type: ignore[union-attr]
    world.blocked.clear()
    world.run(300.0 + SOON)
    assert world.unfinished() == []


class _WithoutWord(Pairs):
    """Goes on without having heard from one of those waited for."""

    def _missing(self) -> frozenset[str]:
        missing = super()._missing()
        return missing if len(missing) > 1 or self.progress.phase is not Phase.BOTH else frozenset()


class _Impatient(Pairs):
    """Does not wait for what is under way."""

    def _is_quiet(self, _now: float) -> bool:
        return True


class _Timed(Pairs):
    """Gives up a peer that was not heard for ten seconds, instead of holding without end."""

    def next(self, now: float) -> Progress | None:
        self._now = now
        return super().next(now)

    def _missing(self) -> frozenset[str]:
        missing = super()._missing()
        there = {name for name in missing if self._heard[name].is_there(Way.NEXT, self._now)}
        return missing if self._now - self._since < 10.0 else frozenset(there)


@pytest.mark.parametrize("wrong", [_WithoutWord, _Impatient, _Timed])
def test_a_wrong_state_machine_is_found_out(wrong: type[Pairs]) -> None:
    world = World(BEFORE, seed=9, pairs=wrong)
    world.apply(ALL, (0.0, 1.0, 20.0))
    with pytest.raises(DeadPairError):
        world.run(SOON)


_FAULTS = st.builds(
    Fault,
    at=st.floats(0.0, 40.0),
    node=st.sampled_from(NAMES[:3]),
    stage=st.sampled_from(["", "promise", "deed"]),
    away=st.floats(0.0, 30.0),
    power=st.booleans(),
)


@examples(2)
@given(
    seed=st.integers(0, 2**32),
    loss=st.floats(0.0, 0.5),
    delay=st.floats(0.01, 0.8),
    changed=st.sets(st.sampled_from(NAMES[:3])),
    preshared=st.sampled_from([1, 2]),
    added=st.booleans(),
    controller=st.booleans(),
    skews=st.lists(st.floats(0.0, 30.0), min_size=4, max_size=4),
    faults=st.lists(_FAULTS, max_size=6),
)
def test_whatever_fails_packets_are_read_and_the_rotation_ends(
    *,
    seed: int,
    loss: float,
    delay: float,
    changed: set[str],
    preshared: int,
    added: bool,
    controller: bool,
    skews: list[float],
    faults: list[Fault],
) -> None:
    after = replace(mesh(*NAMES, **dict.fromkeys(changed, 2)), preshared=preshared)
    world = World(BEFORE, seed=seed, loss=loss, delay=delay)
    world.apply(after if added else after.without("db-2"), skews)
    if controller:
        world.at(30.0, world.controller)
    for fault in faults:
        world.fault(fault)
    world.run(80.0)
    world.loss = 0.0
    world.run(80.0 + 2 * SOON)
    assert world.unfinished() == []
    world.run(80.0 + 2 * SOON + LINGER)
    assert [node.name for node in world.nodes.values() if node.disk.progress] == []
