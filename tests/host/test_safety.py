"""The way back from a trial depends on nothing that can hang, be stopped or be lost."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from lab.testing import wait
from tests.host.nodes import AGENT, Hosts, Node

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
THREE = ("web-1", "web-2", "web-3")
SHORT = 6
"""Seconds until a trial is rolled back here."""
_SECOND = 10
_WATCH = 20
_ports = count(20_000)
_UNITS = "'wgmesh-rollback*.timer' 'wgmesh-watch-*'"


@pytest.fixture
def node(hosts: Hosts, web_1: Node) -> Iterator[Node]:
    """A host with the files of a mesh of two in force, and little time for a trial."""
    web_1.inside("rm -f /etc/wgmesh/failpoint")
    web_1.wait_idle()
    web_1.inside("rm -f /run/wgmesh/outcome.json")
    run = web_1.apply(hosts.document("web-1", PAIR))
    assert run.word in ("CONFIRMED", "UNCHANGED"), run.out
    kept = web_1.inside("cat /etc/wgmesh/agent.json")
    _set_deadline(web_1, SHORT)
    yield web_1
    web_1.inside(f"rm -f /etc/wgmesh/failpoint; echo '{kept}' >/etc/wgmesh/agent.json")


@pytest.fixture(scope="module")
def fresh(hosts: Hosts) -> Node:
    """A host with the agent and the keys, and no files yet."""
    node = hosts.boot("web-3")
    assert node.install().word == "INSTALLED"
    assert node.agent("keys", hosts.keys.bundle("web-3")).word == "STORED"
    return node


def _set_deadline(node: Node, seconds: int) -> None:
    node.inside(f"echo '{{\"deadline_seconds\": {seconds}}}' >/etc/wgmesh/agent.json")


@pytest.fixture
def new(hosts: Hosts) -> str:
    """Files the host has never seen."""
    return hosts.document("web-1", THREE, public=[f"tcp/{next(_ports)}"], forward=True)


def go_live(node: Node, document: str) -> None:
    run = node.agent("apply", document)
    assert run.word == "RECONNECT", run.out
    assert '"phase": "live"' in node.inside("cat /run/wgmesh/trial.json")


def firewall(node: Node) -> str:
    return node.inside("nft -s list table inet wgmesh")


def seconds_left(node: Node) -> float:
    up = float(node.inside("cut -d' ' -f1 /proc/uptime"))
    return float(json.loads(node.inside("cat /run/wgmesh/trial.json"))["deadline"]) - up


# --- what hangs at the deadline -----------------------------------------------------------------------


@contextmanager
def stuck_journal(node: Node) -> Iterator[None]:
    """Stop journald, and fill its queue: whoever writes to it in the usual way waits for ever."""
    fill = (
        "import socket\ns=socket.socket(1, 2)\ns.connect('/dev/log')\ns.setblocking(False)\n"
        "try:\n  while True: s.send(b'<13>fill')\nexcept BlockingIOError: print('full')"
    )
    node.inside("systemctl kill --signal=STOP systemd-journald; sleep 0.2")
    try:
        assert node.inside(f'python3 -c "{fill}"') == "full"
        yield
    finally:
        node.inside("systemctl kill --signal=CONT systemd-journald")


def test_a_journal_that_hangs_does_not_hold_the_rollback_up(node: Node, new: str) -> None:
    before, table = node.live(), firewall(node)
    go_live(node, new)
    with stuck_journal(node):
        time.sleep(seconds_left(node))
        wait(lambda: firewall(node) == table, 4)
        node.wait_idle(4)
    assert node.live() == before


@pytest.mark.long
def test_a_journal_that_hangs_from_the_beginning_changes_nothing(node: Node, new: str) -> None:
    """Arming, the trial and the commit wait for nobody either (sshd does: so not over SSH)."""
    before = node.live()
    with stuck_journal(node):
        argv = node.hosts.lab.enter(node.key, ["python3", AGENT, "apply", "--local"])
        done = subprocess.run(argv, input=new, capture_output=True, text=True, timeout=30, check=False)
        assert done.stdout.startswith("CONFIRMED"), done.stdout
    assert node.live() != before
    assert node.agent("apply", new).word == "UNCHANGED"


@contextmanager
def hanging(node: Node, *tools: str) -> Iterator[None]:
    """Have a tool never end, wherever it is called from."""
    for tool in tools:
        node.inside(
            f"p=$(readlink -f $(command -v {tool})); mv $p $p.away;"
            " printf '#!/bin/sh\\nexec sleep 1000\\n' >$p;"
            "chmod 755 $p"
        )
    try:
        yield
    finally:
        for tool in tools:
            node.inside(
                f"p=$(readlink -f $(command -v {tool})); mv $p.away $p; pkill -f '^sleep 1000' || true"
            )


@pytest.mark.long
@pytest.mark.parametrize("tool", ["wg", "ip", "systemctl", "wireguard-go", "logger"])
def test_a_tool_that_hangs_does_not_keep_the_others_from_their_work(node: Node, new: str, tool: str) -> None:
    before, table = node.live(), firewall(node)
    go_live(node, new)
    with hanging(node, tool):
        time.sleep(seconds_left(node))
        wait(lambda: firewall(node) == table, 5)
        wait(lambda: node.inside("sysctl -n net.ipv4.ip_forward") == "0", 90)
    node.wait_idle(SHORT + 130)
    assert node.live() == before


@contextmanager
def every_python(node: Node, *lines: str) -> Iterator[None]:
    """Have every Python on the host run these lines first."""
    site = node.inside("readlink -f $(python3 -c 'import sitecustomize; print(sitecustomize.__file__)')")
    node.inside(f"cp -a {site} /run/site.py; cat >>{site} <<'EOF'\n" + "\n".join(lines) + "\nEOF")
    try:
        yield
    finally:
        node.inside(f"mv /run/site.py {site}")


@pytest.mark.long
def test_a_python_that_hangs_gives_way_to_plain_commands(node: Node, new: str) -> None:
    before = node.live()
    go_live(node, new)
    with every_python(node, "import time", "time.sleep(1000)"):
        node.wait_idle(SHORT + 45)
        assert node.live() == before


@pytest.mark.long
def test_a_disk_that_hangs_at_the_commit_does_not_keep_the_rollback_away(node: Node, new: str) -> None:
    before = node.live()
    go_live(node, new)
    hang = (
        "import os, time",
        "def fsync(handle):",
        "    time.sleep(1000 if os.readlink(f'/proc/self/fd/{handle}').startswith(('/var', '/etc')) else 0)",
        "os.fsync = fsync",
    )
    with (
        every_python(node, *hang),
        subprocess.Popen(
            node.ssh_argv(f"exec python3 {AGENT} apply"), stdin=subprocess.PIPE, text=True
        ) as client,
    ):
        assert client.stdin
        client.stdin.write(new)
        client.stdin.close()
        node.wait_idle(SHORT + 15)
        client.kill()
    assert node.live() == before


@pytest.mark.long
def test_nft_that_hangs_for_a_while_is_asked_again(node: Node, new: str) -> None:
    before = node.live()
    go_live(node, new)
    with hanging(node, "nft"):
        time.sleep(seconds_left(node) + 6)
        assert "web-3" not in node.inside("wg show wg0 allowed-ips")
        assert node.pending(), "what could not be brought back is not forgotten"
    node.wait_idle(60)
    assert node.live() == before


@pytest.mark.long
def test_a_userspace_wireguard_that_hangs_is_made_anew(node: Node, new: str) -> None:
    before, table = node.live(), firewall(node)
    go_live(node, new)
    node.inside("pkill -STOP -x wireguard-go")
    time.sleep(seconds_left(node))
    wait(lambda: firewall(node) == table, 5)
    node.wait_idle(60)
    assert node.live() == before
    wait(lambda: "0% packet loss" in node.inside("ping -c 1 -W 2 10.10.0.2", check=False), 30)


@pytest.mark.long
def test_a_systemd_that_hangs_does_not_matter_once_the_trial_is_armed(node: Node, new: str) -> None:
    before, table = node.live(), firewall(node)
    go_live(node, new)
    enter = node.hosts.lab.enter(node.key, ["true"])
    systemd = int(enter[enter.index("--target") + 1])
    os.kill(systemd, signal.SIGSTOP)
    try:
        wait(lambda: firewall(node) == table, SHORT + _WATCH + 20)
    finally:
        os.kill(systemd, signal.SIGCONT)
    node.wait_idle(60)
    assert node.live() == before


# --- what is lost, full or damaged --------------------------------------------------------------------

_LOST = {
    "the agent's file is gone": f"mv {AGENT} /root/",
    "the agent's file is cut": f"cp {AGENT} /root/ && truncate -s 1000 {AGENT}",
    "every agent is gone": f"mv {AGENT} /root/; rm /run/wgmesh/back/wgmesh.pyz",
    "the record of before is gone": "rm /run/wgmesh/undo.json",
    "the record of before is damaged": "echo '{\"interface\": 7}' >/run/wgmesh/undo.json",
    "both records of before are damaged": (
        "echo '{' >/run/wgmesh/undo.json; echo '[]' >/run/wgmesh/back/undo.json"
    ),
    "the record of the trial is cut": "truncate -s 20 /run/wgmesh/trial.json",
    "/run is full": "dd if=/dev/zero of=/run/fill bs=64k 2>/dev/null; true",
    "the disk is read-only": (
        "mount --bind /var/lib/wgmesh /var/lib/wgmesh && mount -o remount,bind,ro /var/lib/wgmesh;"
        "mount --bind /etc /etc && mount -o remount,bind,ro /etc"
    ),
    "units were loaded again": "systemctl daemon-reload; systemctl daemon-reexec",
    "a fifo lies where tests put a file": "rm -f /etc/wgmesh/failpoint; mkfifo /etc/wgmesh/failpoint",
}
_PUT_BACK = (
    f"test ! -e /root/wgmesh.pyz || mv /root/wgmesh.pyz {AGENT}; rm -f /run/fill /etc/wgmesh/failpoint;"
    "umount /var/lib/wgmesh /etc 2>/dev/null; rm -f /etc/wgmesh/failpoint; true"
)


@pytest.mark.long
@pytest.mark.parametrize("what", _LOST)
def test_what_is_lost_by_the_deadline_does_not_matter(node: Node, new: str, what: str) -> None:
    before = node.live()
    go_live(node, new)
    node.inside(_LOST[what])
    try:
        wait(lambda: not node.pending(), seconds_or(node, SHORT) + 15)
    finally:
        node.inside(_PUT_BACK)
    assert node.live() == before
    assert node.apply(new).word in ("ROLLED-BACK", "CONFIRMED")


def seconds_or(node: Node, otherwise: float) -> float:
    try:
        return max(0.0, seconds_left(node))
    except (ValueError, AssertionError):
        return otherwise


def test_without_python_plain_commands_bring_it_back(node: Node, new: str) -> None:
    before = node.live()
    go_live(node, new)
    away = "for p in /usr/bin/python3*; do mv $p $p.away; done"
    back = "for p in /usr/bin/python3*.away; do mv $p ${p%.away}; done"
    node.inside(away)
    try:
        node.wait_idle(SHORT + 12)
        assert node.live() == before
    finally:
        node.inside(back)
    run = node.agent("apply", new)
    assert run.word == "ROLLED-BACK"
    assert "plain commands brought it back" in run.out


@pytest.mark.long
def test_plain_commands_make_a_tunnel_that_is_gone_anew(node: Node, new: str) -> None:
    before = node.live()
    go_live(node, new)
    node.inside("rm /run/wgmesh/back/wgmesh.pyz; ip link delete dev wg0")
    node.wait_idle(SHORT + 15)
    assert node.live() == before
    wait(lambda: "0% packet loss" in node.inside("ping -c 1 -W 2 10.10.0.2", check=False), 30)


@pytest.mark.long
@pytest.mark.parametrize(
    "lost", ["", "rm /run/wgmesh/back/wgmesh.pyz", "rm -f /run/wgmesh/undo.json /run/wgmesh/back/undo.json"]
)
def test_a_first_trial_leaves_a_host_as_it_was(hosts: Hosts, fresh: Node, lost: str) -> None:
    node = fresh
    _set_deadline(node, SHORT)
    before = node.live()
    node.inside("rm -f /run/wgmesh/outcome.json")
    go_live(node, hosts.document("web-3", THREE))
    node.inside(lost or "true")
    node.wait_idle(SHORT + 40)
    wait(lambda: node.live() == before, 20)


# --- timers that are stopped --------------------------------------------------------------------------


def test_isolating_a_target_ends_neither_trial_nor_timers(node: Node, new: str) -> None:
    before = node.live()
    go_live(node, new)
    node.inside("systemctl isolate multi-user.target")
    txn = json.loads(node.inside("cat /run/wgmesh/trial.json"))["txn"]
    units = node.inside(f"systemctl list-units --no-legend --state=active 'wgmesh-*{txn}*'")
    assert len(units.splitlines()) == 3, units
    node.wait_idle(SHORT + 3)
    assert node.live() == before


@pytest.mark.long
def test_isolating_a_target_while_the_trial_runs_does_not_stop_it(node: Node, new: str) -> None:
    _set_deadline(node, 30)
    node.inside("echo 'firewall 4' >/etc/wgmesh/failpoint")
    client = subprocess.Popen(
        node.ssh_argv(f"exec python3 {AGENT} apply"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert client.stdin
    client.stdin.write(new)
    client.stdin.close()
    wait(node.pending, 15)
    node.inside("systemctl isolate multi-user.target")
    client.wait(30)
    node.inside("rm -f /etc/wgmesh/failpoint")
    node.wait_for_ssh()
    assert node.apply(new).word == "CONFIRMED"


def test_with_both_timers_stopped_the_watch_rolls_back(node: Node, new: str) -> None:
    before = node.live()
    go_live(node, new)
    node.inside("systemctl stop 'wgmesh-rollback*.timer'; pkill -KILL -f '[w]ay-back.sh watch'")
    node.wait_idle(SHORT + _WATCH + 5)
    assert node.live() == before


@pytest.mark.long
def test_the_guard_ends_a_trial_that_nobody_else_ends(node: Node, new: str) -> None:
    before = node.live()
    go_live(node, new)
    node.inside(f"systemctl stop {_UNITS}")
    node.wait_idle(SHORT + 70)
    assert node.live() == before


_NEXT: dict[str, Callable[[Node], bool]] = {
    "apply": lambda node: node.agent("apply", node.hosts.document("web-1", PAIR)).word == "UNCHANGED",
    "keys": lambda node: node.agent("keys", node.hosts.keys.bundle("web-1")).word == "STORED",
    "install": lambda node: node.install().word == "INSTALLED",
    "check": lambda node: '"idle"' in node.agent("check", node.hosts.document("web-1", PAIR)).out,
    "status": lambda node: node.status()["state"] == "idle",
}


@pytest.mark.parametrize("phase", ["live", pytest.param("armed", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "command", ["apply", *(pytest.param(name, marks=pytest.mark.long) for name in _NEXT if name != "apply")]
)
def test_whoever_comes_next_ends_a_trial_that_lost_its_timers(
    node: Node, new: str, command: str, phase: str
) -> None:
    before = node.live()
    if phase == "armed":
        node.inside("echo 'armed kill' >/etc/wgmesh/failpoint")
        node.agent("apply", new)
    else:
        go_live(node, new)
    node.inside(f"systemctl stop {_UNITS}")
    time.sleep(seconds_left(node) + 1)
    assert node.pending(), "nothing else ends it"
    assert _NEXT[command](node), command
    assert not node.pending()
    assert node.live() == before


@pytest.mark.long
@pytest.mark.parametrize("step", ["pending", "armed"])
def test_a_trial_whose_arming_was_cut_short_is_armed_anew(node: Node, new: str, step: str) -> None:
    """It would run without its timers."""
    node.inside(f"echo '{step} kill' >/etc/wgmesh/failpoint")
    node.agent("apply", new)
    assert node.pending()
    go_live(node, new)
    txn = json.loads(node.inside("cat /run/wgmesh/trial.json"))["txn"]
    units = node.inside(f"systemctl list-units --no-legend --state=active 'wgmesh-*{txn}*'")
    assert len(units.splitlines()) == 3, units
    assert node.apply(new).word == "CONFIRMED"


@pytest.mark.long
def test_no_report_says_that_a_trial_is_over_in_the_past(node: Node, new: str) -> None:
    """Also not where it cannot be undone."""
    go_live(node, new)
    node.inside(f"systemctl stop {_UNITS}; p=$(readlink -f $(command -v nft)); mv $p $p.away")
    time.sleep(seconds_left(node) + 2)
    try:
        trial = node.status()["trial"]
        assert trial["seconds_left"] == 0.0
        run = node.agent("apply", node.hosts.document("web-1", PAIR, public=["tcp/99"]))
        assert re.search("ends in at most 15 s", run.out), run.out
    finally:
        node.inside("mv /usr/sbin/nft.away /usr/sbin/nft")
    assert node.status()["state"] == "idle"


# --- the lock -----------------------------------------------------------------------------------------


def _hold(node: Node, command: str, stdin: str, step: str) -> None:
    """Have a run stop with the lock in its hand, and its session be gone."""
    node.inside(f"echo '{step} stop' >/etc/wgmesh/failpoint")
    with subprocess.Popen(
        node.ssh_argv(f"exec python3 {AGENT} {command}"), stdin=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin
        client.stdin.write(stdin)
        client.stdin.close()
        wait(lambda: node.inside("ls /etc/wgmesh/failpoint 2>/dev/null || echo hit") == "hit", 20)
        client.kill()


def test_a_stopped_holder_of_the_lock_is_named_and_makes_way(node: Node, hosts: Hosts, new: str) -> None:
    _hold(node, "apply", new, "staged")
    other = hosts.document("web-1", PAIR, public=[f"tcp/{next(_ports)}"])
    assert node.apply(other).word == "CONFIRMED"
    said = node.inside("journalctl -q -t wgmesh -o cat --since -1min")
    assert re.search(r"process \d+ \(wgmesh apply, stopped, for \d+ s\) holds the lock and hangs", said)


_HOLD = (
    "import fcntl, os, signal, time; f = open('/run/wgmesh/lock', 'a'); fcntl.flock(f, fcntl.LOCK_EX);"
    " print('ready', flush=True); {}"
)


@pytest.mark.long
@pytest.mark.parametrize("command", ["keys", "install", "apply"])
def test_any_stopped_process_makes_way_to_any_command(node: Node, command: str) -> None:
    holder = node.background(_HOLD.format("os.kill(os.getpid(), signal.SIGSTOP)"))
    assert _NEXT[command](node), command
    holder.kill()
    holder.wait()


@pytest.mark.long
def test_a_busy_holder_is_named_and_an_old_one_makes_way(node: Node) -> None:
    holder = node.background(_HOLD.format("time.sleep(1000)"))
    run = node.agent("keys", node.hosts.keys.bundle("web-1"))
    assert run.word == "BUSY"
    assert re.search(r"right now, process \d+ \(python3, for \d+ s\): try again", run.out), run.out
    wait(lambda: node.agent("keys", node.hosts.keys.bundle("web-1")).word == "STORED", 150)
    holder.kill()
    holder.wait()


@pytest.mark.long
def test_a_command_that_hangs_is_ended_on_the_node(node: Node, new: str) -> None:
    """As `up` calls it, with a limit that suits a test."""
    _set_deadline(node, 60)
    node.inside("echo 'staged 1000' >/etc/wgmesh/failpoint")
    run = node.ssh(f"exec timeout -s KILL 5 python3 {AGENT} apply", new)
    node.inside("rm /etc/wgmesh/failpoint")
    assert run.code in (137, 255), run
    assert node.apply(new).word == "CONFIRMED"


# --- connections --------------------------------------------------------------------------------------


def _connections(node: Node) -> int:
    return len(
        re.findall("Accepted publickey for root", node.inside("journalctl -q -o cat -t sshd -t sshd-session"))
    )


def test_a_change_takes_two_connections(node: Node, hosts: Hosts) -> None:
    _set_deadline(node, 60)
    for document in (
        hosts.document("web-1", PAIR, public=[f"tcp/{next(_ports)}"]),
        hosts.document("web-1", THREE),
        hosts.document("web-1", PAIR, mesh_port=51999),
        hosts.document("web-1", PAIR),
    ):
        before = _connections(node)
        assert node.apply(document).word == "CONFIRMED"
        assert _connections(node) - before == 2


def test_the_first_files_take_two_connections(fresh: Node, hosts: Hosts) -> None:
    _set_deadline(fresh, 60)
    before = _connections(fresh)
    assert fresh.apply(hosts.document("web-3", THREE)).word == "CONFIRMED"
    assert _connections(fresh) - before == 2


@pytest.mark.long
def test_a_trial_that_fails_is_told_over_the_first_connection(node: Node, new: str) -> None:
    node.inside("echo 'sysctl fail' >/etc/wgmesh/failpoint")
    assert node.agent("apply", new).word == "ROLLED-BACK"


@pytest.mark.long
def test_a_first_connection_that_dies_is_made_up_for(node: Node, new: str) -> None:
    _set_deadline(node, 30)
    node.inside("echo 'firewall 3' >/etc/wgmesh/failpoint")
    with subprocess.Popen(
        node.ssh_argv(f"exec python3 {AGENT} apply"), stdin=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin
        client.stdin.write(new)
        client.stdin.close()
        wait(node.pending, 15)
        client.kill()
    assert node.apply(new).word == "CONFIRMED"
