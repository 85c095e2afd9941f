"""What hangs or is lost by a trial's deadline does not keep the host from going back."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.testing import wait
from tests.host.nodes import AGENT, CALL, Hosts, Node
from tests.host.trials import SHORT, THREE, WATCH, every_python, firewall, go_live, seconds_left, set_deadline

pytestmark = pytest.mark.hosts


@pytest.fixture
def node(impatient: Node) -> Node:
    return impatient


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
        subprocess.Popen(node.ssh_argv(f"exec {CALL} apply"), stdin=subprocess.PIPE, text=True) as client,
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
        wait(lambda: firewall(node) == table, SHORT + WATCH + 20)
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
    assert "plain commands undid the trial" in run.out


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
    set_deadline(node, SHORT)
    before = node.live()
    node.inside("rm -f /run/wgmesh/outcome.json")
    go_live(node, hosts.document("web-3", THREE))
    node.inside(lost or "true")
    node.wait_idle(SHORT + 40)
    wait(lambda: node.live() == before, 20)
