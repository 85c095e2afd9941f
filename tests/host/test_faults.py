"""A trial that is killed, hangs or meets a bad disk ends in the old or the new state, never between."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from lab.testing import wait
from mesh.host.system.faults import STEPS
from tests.host.nodes import CALL, DEADLINE, Hosts, Node
from tests.host.trials import applying, every_python

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
THREE = ("web-1", "web-2", "web-3")
_IN_ROLLBACK = [name for name in STEPS if name.startswith(("rollback", "undone"))]
_FORWARD = [name for name in STEPS if name not in _IN_ROLLBACK]
_CUT_SHORT = [
    pytest.param(step, action, marks=[] if (step, action) == (_IN_ROLLBACK[0], "kill") else pytest.mark.long)
    for step in _IN_ROLLBACK
    for action in ("kill", "stop")
]


@pytest.fixture
def node(hosts: Hosts, web_1: Node) -> Node:
    """A host with the files of a mesh of two in force."""
    web_1.bring(hosts.document("web-1", PAIR))
    return web_1


_PYTHON_DATE = "python3 -IS -c 'import time; print(int(time.time()))' # "
_ports = count(10_000)


@pytest.fixture
def new(hosts: Hosts) -> str:
    """Files the host has never seen."""
    return hosts.document("web-1", THREE, public=[f"tcp/{next(_ports)}"], forward=True)


def states(node: Node, hosts: Hosts, new: str) -> tuple[str, str]:
    """The running and stored state before the new files, and with them."""
    old_state = node.live()
    assert node.apply(new).word == "CONFIRMED"
    new_state = node.live()
    assert node.apply(hosts.document("web-1", PAIR)).word == "CONFIRMED"
    assert node.live() == old_state
    return old_state, new_state


def settled(node: Node) -> str:
    """The state once no trial is pending any more."""
    node.wait_idle()
    wait(lambda: node.status()["differences"] == [], 20)
    return node.live()


def converges(node: Node, new: str) -> None:
    run = node.apply(new)
    if run.word == "ROLLED-BACK":
        run = node.apply(new)
    assert run.word in ("CONFIRMED", "UNCHANGED"), run.out


def test_a_trial_that_is_killed_is_rolled_back_at_the_deadline(node: Node, hosts: Hosts, new: str) -> None:
    before = node.live()
    node.inside("echo 'firewall kill' >/etc/wgmesh/failpoint")
    assert node.agent("apply", new).word == "RECONNECT"
    assert settled(node) == before
    converges(node, new)


def test_a_trial_that_hangs_with_the_lock_cannot_keep_the_rollback_away(node: Node, new: str) -> None:
    before = node.live()
    node.inside("echo 'interface stop' >/etc/wgmesh/failpoint")
    assert node.agent("apply", new).word == "RECONNECT"
    node.wait_idle(DEADLINE + 15)
    assert node.live() == before


@pytest.mark.long
def test_the_second_timer_rolls_back_when_the_first_is_gone(node: Node, new: str) -> None:
    before = node.live()
    assert node.agent("apply", new).word == "RECONNECT"
    txn = node.status()["trial"]["txn"]
    node.inside(f"systemctl stop wgmesh-rollback-{txn}.timer")
    node.wait_idle(DEADLINE + 20)
    assert node.live() == before


def test_a_confirmation_killed_after_the_commit_is_finished_not_undone(node: Node, new: str) -> None:
    node.inside("echo 'committed kill' >/etc/wgmesh/failpoint")
    assert node.agent("apply", new).word == "RECONNECT"
    wait(lambda: node.status()["state"] == "live", DEADLINE)
    node.agent("apply", new)
    node.wait_idle()
    assert node.agent("apply", new).word == "UNCHANGED"
    assert node.inside("sysctl -n net.ipv4.ip_forward") == "1"


# What keeps systemd from starting a unit; it says so at once, says so afterwards, or says that all is well.
_REFUSALS = {
    "refused": "Requires=no-such.service",
    "failed": "AssertPathExists=/no-such",
    "unsaid": "ConditionPathExists=/no-such",
}


@contextmanager
def kept_from_starting(node: Node, kind: str, how: str) -> Iterator[None]:
    """Have systemd not start our units of this kind."""
    folder = f"/run/systemd/system/wgmesh-.{kind}.d"  # for all whose names begin so: systemd.unit(5)
    node.inside(f"mkdir {folder}; printf '[Unit]\n{_REFUSALS[how]}\n' >{folder}/50-test.conf")
    try:
        node.inside("systemctl daemon-reload")
        yield
    finally:
        node.inside(f"rm -r {folder}; systemctl daemon-reload")


@pytest.mark.parametrize("how", _REFUSALS)
def test_nothing_changes_when_the_rollback_cannot_be_armed(node: Node, new: str, how: str) -> None:
    """Also when it is said to be armed, and is not."""
    before = node.live()
    with kept_from_starting(node, "timer", how):
        run = node.agent("apply", new)
    assert (run.word, run.code) == ("FAILED", 71), run.out
    assert node.live() == before
    assert node.status()["state"] == "idle"


@pytest.mark.parametrize("how", ["refused", pytest.param("failed", marks=pytest.mark.long)])
def test_a_trial_that_cannot_have_a_scope_runs_in_a_service(node: Node, new: str, how: str) -> None:
    with kept_from_starting(node, "scope", how):
        assert node.apply(new).word == "CONFIRMED"
    said = node.inside("journalctl -q -t wgmesh -o cat --since -2min")
    assert re.search(r"wgmesh-trial-[0-9a-f]{16}\.scope cannot be had: ", said)
    assert node.status()["differences"] == []


def test_a_trial_outlives_its_session_and_the_process_that_started_it(node: Node, new: str) -> None:
    """It has nothing of the session any more: no terminal, no open file, no lock but its own."""
    node.inside("echo 'trial 3' >/etc/wgmesh/failpoint")
    with applying(node, new):
        wait(lambda: _trial(node) != "", DEADLINE)
        trial = _trial(node)
        assert node.inside(f"find /proc/{trial}/fd -lname 'pipe:*' -o -lname 'socket:*'") == ""
        assert node.inside(f"readlink /proc/{trial}/fd/0 /proc/{trial}/fd/1") == "/dev/null\n/dev/null"
        assert node.inside(f"cut -d' ' -f6 /proc/{trial}/stat") == trial, "it leads a session of its own"
        others = {*node.inside("pgrep -f '[w]gmesh.pyz apply'").split()} - {trial}
        assert others
        node.inside(f"kill -KILL {' '.join(others)}")
    wait(lambda: node.status()["state"] == "live", DEADLINE)
    node.inside("rm /etc/wgmesh/failpoint")
    assert node.apply(new).word == "CONFIRMED"


def _trial(node: Node) -> str:
    """Return the process that runs the trial: it is alone in its unit."""
    found = "grep -ls 'wgmesh-trial-.*[.]scope' /proc/[0-9]*/cgroup | cut -d/ -f3"
    return node.inside(found, check=False)


@pytest.mark.parametrize("limit", ["size=2m", "size=64m,nr_inodes=100"])
def test_a_full_disk_leaves_everything_as_it_was(node: Node, new: str, limit: str) -> None:
    """No room for bytes, or none for names."""
    before = node.live()
    node.inside(
        f"mkdir -p /run/saved && cp -a /var/lib/wgmesh/. /run/saved/ && mount -t tmpfs -o mode=700,{limit}"
        " none /var/lib/wgmesh && cp -a /run/saved/. /var/lib/wgmesh/;"
        "dd if=/dev/zero of=/var/lib/wgmesh/fill bs=4k count=500 2>/dev/null;"
        "n=0; while touch /var/lib/wgmesh/fill$n 2>/dev/null && [ $n -lt 99 ]; do n=$((n+1)); done; true"
    )
    run = node.agent("apply", new)
    left = node.inside("find /var/lib/wgmesh -name '*.new' -o -size 0 -type f ! -name 'fill*'")
    state = node.live()
    node.inside("umount /var/lib/wgmesh; rm -r /run/saved")
    assert (run.word, run.code) == ("NO-SPACE", 74), run.out
    assert left == ""
    assert state == before


def test_a_read_only_disk_leaves_everything_as_it_was(node: Node, new: str) -> None:
    before = node.live()
    node.inside("mount --bind /var/lib/wgmesh /var/lib/wgmesh && mount -o remount,bind,ro /var/lib/wgmesh")
    run = node.agent("apply", new)
    node.inside("umount /var/lib/wgmesh")
    assert (run.word, run.code) == ("IO-ERROR", 74), run.out
    assert node.live() == before


def test_a_disk_that_fails_at_the_commit_rolls_back(node: Node, new: str) -> None:
    before = node.live()
    assert node.agent("apply", new).word == "RECONNECT"
    wait(lambda: node.status()["state"] == "live", DEADLINE)
    node.inside("mount --bind /var/lib/wgmesh /var/lib/wgmesh && mount -o remount,bind,ro /var/lib/wgmesh")
    run = node.agent("apply", new)
    node.inside("umount /var/lib/wgmesh")
    assert run.word == "ROLLED-BACK", run.out
    assert node.live() == before


@contextmanager
def a_day_back(node: Node) -> Iterator[None]:
    """Set back the wall clock of every Python on the host: the host's own is this machine's, too."""
    back = "time.{0} = lambda real=time.{0}: real() - {1}"
    lines = ["import time", back.format("time", 86_400), back.format("time_ns", 86_400 * 10**9)]
    with every_python(node, *lines):
        assert _days_back(node) == 1
        yield
    assert _days_back(node) == 0


def _days_back(node: Node) -> int:
    now, machine = (int(node.inside(f"{tool} +%s")) for tool in (_PYTHON_DATE, "date"))
    return round((machine - now) / 86_400)


def test_a_clock_that_jumps_back_a_day_changes_nothing_about_the_deadline(node: Node, new: str) -> None:
    """Neither the agent nor the timers ask for the time of day."""
    before = node.live()
    assert node.agent("apply", new).word == "RECONNECT"
    trial = node.status()["trial"]
    assert 0 < trial["seconds_left"] <= DEADLINE
    shown = node.inside(f"systemctl show wgmesh-rollback-{trial['txn']}.timer")
    assert re.search(r"TimersMonotonic=.*OnActiveUSec", shown)
    assert "TimersCalendar=" not in shown
    assert "AccuracyUSec=1s" in shown, "systemd's default would let it be a minute late"
    with a_day_back(node):
        node.wait_idle()
        assert node.live() == before
        took = node.moment("is rolled back") - node.moment("is armed")
        assert DEADLINE - 1 < took < DEADLINE + 5
        assert node.agent("apply", new).word == "ROLLED-BACK"
        assert node.apply(new).word == "CONFIRMED"


def test_five_applies_after_one_set_of_keys_keep_every_key(node: Node, hosts: Hosts) -> None:
    keys = node.inside("ls /var/lib/wgmesh/keys")
    for members in (THREE, PAIR, THREE, PAIR, THREE):
        assert node.apply(hosts.document("web-1", members)).word == "CONFIRMED"
    assert node.inside("ls /var/lib/wgmesh/keys") == keys
    assert len(node.inside("ls /var/lib/wgmesh/generations").split()) == 2


@pytest.mark.long
@pytest.mark.parametrize("action", ["kill", "stop", "fail", "reboot"])
@pytest.mark.parametrize("step", _FORWARD)
def test_whatever_happens_at_whatever_step(
    node: Node, hosts: Hosts, new: str, step: str, action: str
) -> None:
    old_state, new_state = states(node, hosts, new)
    node.inside(f"echo '{step} {'5' if action == 'reboot' else action}' >/etc/wgmesh/failpoint")
    for _dial in range(3):
        with subprocess.Popen(node.ssh_argv(f"exec timeout 6 {CALL} apply"), stdin=subprocess.PIPE) as client:
            assert client.stdin is not None
            client.stdin.write(new.encode())
            client.stdin.close()
            if action == "reboot":
                time.sleep(1.5)
                client.kill()
            client.wait()
    if action == "reboot":
        node.reboot(graceful=False)
    node.inside("rm -f /etc/wgmesh/failpoint")
    assert settled(node) in (old_state, new_state)
    converges(node, new)
    assert node.live() == new_state


@pytest.mark.parametrize(("step", "action"), _CUT_SHORT)
def test_a_rollback_that_is_cut_short_is_taken_up_again(node: Node, new: str, step: str, action: str) -> None:
    before = node.live()
    assert node.agent("apply", new).word == "RECONNECT"
    node.inside(f"echo '{step} {action}' >/etc/wgmesh/failpoint")
    node.wait_idle(DEADLINE + 30)
    assert node.live() == before
    node.inside("rm -f /etc/wgmesh/failpoint")
