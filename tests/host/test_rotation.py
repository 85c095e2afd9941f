"""Keys that rotate on real hosts, with packets on every pair all the while."""

import json
import time
from collections.abc import Iterator

import pytest

from bench.rotating import Rotating
from lab.testing import traffic, wait
from tests.host.conftest import IMAGE

pytestmark = pytest.mark.hosts

RATE = 50.0


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotating]:
    built = Rotating.of(tmp_path_factory.mktemp("fleet"), IMAGE, 3)
    yield built
    built.end()


def test_all_identities_rotate_without_a_lost_packet(fleet: Rotating) -> None:
    former = fleet.private()
    fleet.new_identities()
    with traffic(fleet.nodes, fleet.addresses, rate=RATE) as seen:
        fleet.settle(fleet.apply(skew={"web-2": 2.0, "web-3": 1.0}))
        fleet.wait()
    assert not seen.lost, str(seen)
    fleet.check(former=former)


@pytest.mark.parametrize(
    ("identity", "preshared"),
    [
        (True, True),
        pytest.param(True, False, marks=pytest.mark.long),
        pytest.param(False, True, marks=pytest.mark.long),
    ],
    ids=["both", "one identity", "pre-shared keys"],
)
def test_one_node_and_pre_shared_keys_rotate(fleet: Rotating, *, identity: bool, preshared: bool) -> None:
    former = fleet.private()[:1] if identity else []
    if identity:
        fleet.new_identities("web-1")
    if preshared:
        fleet.new_root()
    with traffic(fleet.nodes, fleet.addresses, rate=RATE) as seen:
        fleet.settle(fleet.apply())
        fleet.wait()
    assert not seen.lost, str(seen)
    fleet.check(former=former)


@pytest.fixture
def quiet(fleet: Rotating) -> Iterator[Rotating]:
    """Nodes that send each other nothing by themselves."""
    fleet.each["keepalive"] = 0
    fleet.settle(fleet.apply())
    yield fleet
    del fleet.each["keepalive"]
    fleet.settle(fleet.apply())


def test_pairs_that_say_nothing_rotate_and_work_afterwards(quiet: Rotating) -> None:
    for node in quiet.nodes.values():
        assert "\t25" not in node.inside("wg show wg0 persistent-keepalive")
    quiet.new_identities()
    quiet.settle(quiet.apply())
    quiet.wait()
    with traffic(quiet.nodes, quiet.addresses, rate=RATE) as seen:
        time.sleep(1)
    assert not seen.lost, str(seen)
    quiet.check()


@pytest.mark.long
def test_a_policy_that_allows_nothing_stops_no_rotation(fleet: Rotating) -> None:
    fleet.mesh["policy"] = []
    try:
        fleet.settle(fleet.apply())
        fleet.new_identities()
        fleet.settle(fleet.apply())
        fleet.wait()
        fleet.check()
        knock = "timeout 2 nc -z 10.10.0.2 9001; echo $?"
        assert fleet.nodes["web-1"].inside(knock) == "124", "no refusal: the policy was in force"
    finally:
        del fleet.mesh["policy"]
    fleet.settle(fleet.apply())
    with traffic(fleet.nodes, fleet.addresses, rate=RATE) as seen:
        time.sleep(1)
    assert not seen.lost, str(seen)


def test_a_node_that_is_late_holds_the_others_on_the_keys_of_before(fleet: Rotating) -> None:
    fleet.new_identities()
    early = [name for name in fleet.nodes if name != "web-3"]
    with traffic(fleet.nodes, fleet.addresses, rate=RATE) as seen:
        fleet.settle(fleet.apply(early))
        waits = {name: fleet.rotating(name) for name in early}
        assert all(found and found["pairs"]["web-3"]["waits"] for found in waits.values()), waits
        assert all(fleet.nodes[name].status()["differences"] == [] for name in early), (
            "a rotation is no drift"
        )
        fleet.settle(fleet.apply(["web-3"]))
        fleet.wait()
    assert not seen.lost, str(seen)
    fleet.check()


def test_a_second_rotation_is_refused_by_the_node(fleet: Rotating) -> None:
    fleet.new_identities("web-1")
    fleet.settle(fleet.apply(["web-1"]))
    kept = dict(fleet.hosts.keys.private)
    fleet.new_identities("web-1")
    run = fleet.apply(["web-1"])["web-1"]
    assert run.word == "REFUSED", run.out
    assert "keys are being rotated since" in run.out
    fleet.hosts.keys.private = kept
    fleet.settle(fleet.apply())
    fleet.wait()
    fleet.check()


@pytest.mark.parametrize(
    "where",
    [
        "rotation-recorded",
        *(
            pytest.param(step, marks=pytest.mark.long)
            for step in (
                "rotation-begun", "rotation-next", "rotation-wg0", "rotation-redirected", "rotation-said",
                "rotation-cleaned", "rotation-unplanned",
            )
        ),
    ],
)  # fmt: skip
def test_killed_at_any_step_it_goes_on(fleet: Rotating, where: str) -> None:
    fleet.new_identities()
    for name in ("web-1", "web-2"):
        fleet.nodes[name].inside(f"echo '{where} kill' >/etc/wgmesh/failpoint")
    with traffic(fleet.nodes, fleet.addresses, rate=RATE) as seen:
        fleet.settle(fleet.apply())
        fleet.wait()
    assert not seen.lost, str(seen)
    fleet.check()
    for name in ("web-1", "web-2"):
        assert fleet.nodes[name].inside("ls /etc/wgmesh") == "agent.json\nfirewall.nft", "it was killed there"


@pytest.mark.long
@pytest.mark.parametrize("how", ["reboot", "power cut"])
@pytest.mark.parametrize("phase", ["both", "rekeyed", "linger"])
def test_a_node_that_starts_anew_goes_on_and_the_others_lose_nothing(
    fleet: Rotating, phase: str, how: str
) -> None:
    fleet.new_identities()
    others = fleet.others("web-3")
    with traffic(others, fleet.addresses, rate=RATE) as seen:
        fleet.settle(fleet.apply())
        wait(lambda: (fleet.nodes["web-3"].status()["rotation"] or {}).get("phase") == phase, 60)
        fleet.nodes["web-3"].reboot(graceful=how == "reboot")
        fleet.wait()
    assert not seen.lost, str(seen)
    fleet.check()
    with traffic(fleet.nodes, fleet.addresses, rate=RATE) as seen:
        time.sleep(2)
    assert not seen.lost, str(seen)


@pytest.mark.long
def test_one_that_is_down_is_taken_out_and_comes_back_with_its_new_keys(fleet: Rotating) -> None:
    """It missed all of it; the operator's side knows who has ended, and says so."""
    fleet.new_identities()
    web_3 = fleet.nodes["web-3"]
    web_3.inside("systemctl stop wg-quick@wg0")
    others = fleet.others("web-3")
    with traffic(others, fleet.addresses, rate=RATE) as seen:
        fleet.settle(fleet.apply(others))
        assert fleet.rotating("web-1")
        fleet.settle(fleet.apply(others, members=list(others)))
        fleet.wait(others)
    assert not seen.lost, str(seen)
    fleet.check(others)
    with traffic(others, fleet.addresses, rate=RATE) as seen:
        web_3.inside("systemctl start wg-quick@wg0")
        fleet.settle(fleet.apply())
        settled = {name: fleet.public(name) for name in others}
        run = web_3.agent("settle", json.dumps({"format": 1, "settled": settled}))
        fleet.wait()
    assert run.word in ("SETTLED", "HELD"), run.out
    assert not seen.lost, str(seen)
    fleet.check()


@pytest.mark.long
def test_with_loss_on_the_way_and_a_policy_that_allows_next_to_nothing(fleet: Rotating) -> None:
    fleet.mesh["policy"] = [{"from": ["all"], "to": ["all"], "allow": ["udp/9000"]}]
    fleet.settle(fleet.apply())
    lossy = "ip protocol udp udp dport 51820-51821 numgen random mod 100 < 5 drop"
    hook = "type filter hook output priority raw; policy accept"
    for node in fleet.nodes.values():
        node.inside(f"nft 'table inet lossy {{ chain out {{ {hook}; {lossy}; }}; }}'")
    try:
        fleet.new_identities()
        with traffic(fleet.nodes, fleet.addresses, rate=RATE) as seen:
            fleet.settle(fleet.apply())
            fleet.wait()
    finally:
        for node in fleet.nodes.values():
            node.inside("nft delete table inet lossy")
    assert sum(seen.lost.values()) < seen.total * 0.08, str(seen)
    del fleet.mesh["policy"]
    fleet.settle(fleet.apply())
    fleet.check()


@pytest.mark.long
def test_a_node_that_leaves_in_the_middle_leaves_nothing(fleet: Rotating) -> None:
    fleet.new_identities()
    web_3, others = fleet.nodes["web-3"], fleet.others("web-3")
    fleet.settle(fleet.apply(["web-1", "web-3"]))
    wait(lambda: "wg0-next" in web_3.inside("ls /sys/class/net"), 60)
    assert web_3.agent("leave").word == "LEFT"
    assert web_3.inside("ls /sys/class/net | grep ^wg; ls -d /var/lib/wgmesh 2>&1", check=False).startswith(
        "ls:"
    )
    with traffic(others, fleet.addresses, rate=RATE) as seen:
        fleet.settle(fleet.apply(others, members=list(others)))
        fleet.wait(others)
    assert not seen.lost, str(seen)
    fleet.check(others)
    web_3.copy(fleet.hosts.agent)
    fleet.settle(fleet.apply())
    fleet.wait()
    fleet.check()


@pytest.mark.long
def test_ipv6_inside_the_mesh_moves_along(fleet: Rotating) -> None:
    fleet.mesh["cidr6"] = "fd1a:2b3c:4d5e::/64"
    try:
        fleet.settle(fleet.apply())
        fleet.new_identities()
        with (
            fleet.nodes["web-1"].pinging("fd1a:2b3c:4d5e::2", 0.02) as there,
            traffic(fleet.others("web-2"), fleet.addresses, rate=RATE) as seen,
        ):
            fleet.settle(fleet.apply(skew={"web-1": 2.0}))
            fleet.wait()
        assert len(there.answered) > 100
        assert there.lost() == []
        assert not seen.lost, str(seen)
        fleet.check()
    finally:
        del fleet.mesh["cidr6"]
    fleet.settle(fleet.apply())
    fleet.check()
