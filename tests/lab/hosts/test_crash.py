"""Whatever is killed at whatever time: nothing is left behind, and the next start works."""

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.hosts import HostError, cgroups
from lab.processes import start_time
from lab.testing import wait
from tests.lab.hosts.world import IMAGES, Host, World, output, reaches

pytestmark = pytest.mark.hosts

PROJECT = Path(__file__).parents[3]


def _started(world: World, key: str, number: int) -> Host:
    host = world.create(key, number=number)
    world.lab.start(key)
    return host


@pytest.mark.parametrize("victims", [["supervisor"], ["nspawn"], ["leader"], ["supervisor", "nspawn"]])
def test_killed_parts_of_a_host_switch_it_off_and_it_starts_again(world: World, victims: list[str]) -> None:
    host = _started(world, "a", 10)
    record = host.record()
    host.inside("touch /root/kept; sync")
    for victim in victims:
        os.kill(record[victim], signal.SIGKILL)
    wait(lambda: host.state == "off")
    world.lab.start("a")
    assert host.inside("ls /root/kept") == "/root/kept"
    assert start_time(record["leader"]) is None  # never two of them on one disk


def test_down_after_everything_was_killed_leaves_nothing(world: World) -> None:
    hosts = [_started(world, key, 10 + number) for number, key in enumerate(("a", "b", "c"))]
    records = [host.record() for host in hosts]
    os.kill(records[0]["supervisor"], signal.SIGKILL)
    os.kill(records[1]["nspawn"], signal.SIGKILL)
    for victim in ("supervisor", "nspawn"):
        os.kill(records[2][victim], signal.SIGKILL)
    world.lab.down()
    assert world.traces() == []
    assert set(world.lab.states().values()) == {"off"}
    world.lab.down()


def test_up_cleans_what_a_killed_run_left(world: World) -> None:
    host = _started(world, "a", 10)
    record = host.record()
    for victim in ("supervisor", "nspawn"):
        os.kill(record[victim], signal.SIGKILL)
    wait(lambda: host.state == "off")
    half_made = world.folder / "hosts" / "b" / "disk"
    half_made.mkdir(parents=True)
    world.lab.up()
    assert start_time(record["leader"]) is None
    assert not half_made.exists()
    world.create("b", number=11)


def test_killed_during_a_boot(world: World) -> None:
    world.create("a", number=10)
    script = "import sys, pathlib, lab.hosts as h; h.Lab(*map(pathlib.Path, sys.argv[1:])).start('a')"
    words = [sys.executable, "-c", script, str(world.folder), str(IMAGES)]
    for seconds in (0.05, 0.1, 0.15, 0.2, 0.3):
        with subprocess.Popen(words, cwd=PROJECT) as starter:
            try:
                starter.wait(timeout=0.1 + seconds)
            except subprocess.TimeoutExpired:
                starter.kill()
        world.lab.down()
        assert world.traces() == []
        world.lab.up()
    world.lab.start("a")
    assert world.lab.states() == {"a": "running"}


def test_a_host_that_cannot_boot_is_reported_and_leaves_nothing(world: World) -> None:
    world.create("a", number=10)
    work = world.folder / "hosts" / "a" / "work"
    work.rmdir()
    with pytest.raises(HostError, match=r"host a does not boot; the end of .*console\.log: .*mount"):
        world.lab.start("a")
    assert [trace for trace in world.traces() if "-a" in trace] == []
    work.mkdir()
    world.lab.start("a")


def test_many_at_once(world: World) -> None:
    keys = [f"m{number}" for number in range(6)]

    def live(number: int) -> None:
        _started(world, keys[number], 10 + number)
        world.lab.set_firewall(keys[number], [])
        if number % 2:
            world.lab.destroy(keys[number])

    with ThreadPoolExecutor(len(keys)) as threads:
        list(threads.map(live, range(len(keys))))
    assert world.lab.states() == dict.fromkeys(keys[::2], "running")
    chains = output("ip", "netns", "exec", world.lab._router.namespace, "nft", "list", "ruleset")
    assert [key for key in keys if f"chain h{key}_in" in chains] == keys[::2]


def test_the_same_host_from_all_sides(world: World) -> None:
    """Whatever comes first, each call succeeds or says that the host exists, or that no such host does."""

    def live(number: int) -> None:
        for step in (lambda: _started(world, "a", 10), lambda: world.lab.stop("a", graceful=False)):
            try:
                step()
            except HostError as error:
                assert re.search("already exists|does not exist", str(error)), error  # noqa: PT017
        if number % 2:
            world.lab.destroy("a")

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(live, range(6)))
    world.lab.destroy("a")
    assert [trace for trace in world.traces() if "-a" in trace] == []


def test_one_host_too_many_is_refused_before_it_hangs_half_booted(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _started(world, "a", 10)
    world.create("b", number=11)
    limit = tmp_path / "max_user_instances"
    limit.write_text("7\n")
    monkeypatch.setattr("lab.hosts.lab._INOTIFY_LIMIT", limit)
    said = r"host b: \d+ hosts already run .* `sysctl fs\.inotify\.max_user_instances="
    with pytest.raises(HostError, match=said):
        world.lab.start("b")
    assert world.lab.states() == {"a": "running", "b": "off"}


def test_a_group_that_a_killed_lab_left_is_no_host_that_runs() -> None:
    name = f"wgl{os.getpid():06x}-gone"
    script = f"from lab.hosts import cgroups; cgroups.join({name!r}); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as member:
        try:
            assert member.stdout is not None
            assert member.stdout.readline() == "1\n"
            assert name in cgroups.living("wgl*-gone")
        finally:
            member.communicate("\n", timeout=10)
    assert name not in cgroups.living("wgl*-gone")
    cgroups.end_all(name)


def test_two_labs_do_not_meet(world: World, tmp_path: Path) -> None:
    other = World(tmp_path / "other")
    other.lab.up()
    try:
        here, there = _started(world, "a", 10), _started(other, "a", 10)
        wait(lambda: reaches(here.address, 22) and reaches(there.address, 22))
        assert here.run(f"ping -c 1 -W 1 {there.address}").returncode != 0
        world.lab.down()
        assert there.state == "running"
        wait(lambda: reaches(there.address, 22))
    finally:
        other.close()
    assert other.traces() == []


def test_the_command_line_lists_enters_and_stops(world: World) -> None:
    _started(world, "a", 10)

    def cli(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "lab.hosts", *words],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )

    state = str(world.folder)
    assert cli("list", "--state", state).stdout == f"a\tlab-a\t{world.lab.pool[10]}\trunning\n"
    done = cli("enter", "--state", state, "lab-a", "--", "sh", "-c", "cat /proc/1/comm; exit 3")
    assert (done.stdout, done.returncode) == ("systemd\n", 3)
    assert cli("enter", "--state", state, "nobody").stderr == "error: host 'nobody' does not exist\n"
    assert cli("down", "--state", state).returncode == 0
    assert world.traces() == []
    assert cli("down", "--state", state).returncode == 0
