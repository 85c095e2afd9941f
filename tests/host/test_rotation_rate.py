"""Five nodes, 500 packets a second on each of the 20 ordered pairs, and nodes that begin at any moment."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.rotating import Rotating
from bench.rotation import LATE_SECONDS, RATE, ROTATIONS
from lab.testing import traffic
from mesh.host.system.faults import STEPS
from tests.host.conftest import IMAGE

pytestmark = [pytest.mark.hosts, pytest.mark.long]

_STEPS = [step for step in STEPS if step.startswith("rotation-")]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotating]:
    built = Rotating.of(tmp_path_factory.mktemp("fleet"), IMAGE, 5)
    yield built
    built.end()


@pytest.mark.parametrize("repeat", [1, 2, 3])
@pytest.mark.parametrize("what", ROTATIONS)
def test_no_packet_is_lost(
    fleet: Rotating, what: str, repeat: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A packet for which a kernel had no room says that the machine is too slow for this rate."""
    ROTATIONS[what](fleet)
    with traffic(fleet.nodes, fleet.addresses, rate=RATE) as seen:
        fleet.settle(fleet.apply(skew=fleet.skew(LATE_SECONDS)))
        fleet.wait()
    with capsys.disabled():
        print(f"\n{what}, {repeat}: {seen}")
    assert sum(seen.lost.values()) <= seen.no_room, str(seen)
    fleet.check()


@pytest.mark.parametrize("number", range(50))
def test_rotations_with_nodes_that_are_late_killed_or_cut_off_lose_nothing_among_the_others(
    fleet: Rotating, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of fifty: what becomes of the nodes is drawn by the seed that pytest prints."""
    fate = random.choice(["late", "killed", "cut off"])
    victim, *_ = names = random.sample(list(fleet.nodes), len(fleet.nodes))
    skew = dict(fleet.skew(LATE_SECONDS))
    if random.random() < 0.5:
        fleet.new_root()
    fleet.new_identities(*random.sample(names, random.randint(1, len(names))))
    if fate == "late":
        skew[victim] = random.uniform(10.0, 30.0)
    if fate == "killed":
        for name in names[:2]:
            fleet.nodes[name].inside(f"echo '{random.choice(_STEPS)} kill' >/etc/wgmesh/failpoint")
    measured = fleet.others(victim) if fate == "cut off" else fleet.nodes
    with traffic(measured, fleet.addresses, rate=200.0) as seen, ThreadPoolExecutor(1) as apart:
        applied = apart.submit(fleet.apply, skew=skew)
        if fate == "cut off":
            fleet.settle(applied.result())
            time.sleep(random.uniform(0.0, 15.0))
            fleet.nodes[victim].reboot(graceful=False)
        fleet.settle(applied.result())
        fleet.wait()
    with capsys.disabled():
        print(f"\n{number}, {fate}: {seen}")
    assert sum(seen.lost.values()) <= seen.no_room, str(seen)
    for node in fleet.nodes.values():
        node.inside("rm -f /etc/wgmesh/failpoint")
    fleet.check()
