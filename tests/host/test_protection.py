"""The table is there whatever others do to the ruleset, and nobody's trial, leave or rollback is fought."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from lab.testing import wait
from tests.host.nodes import CALL, DEADLINE, Hosts, Node

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
SECONDS = 10
"""A table that was taken away is back by then, on a machine that is busy with other things."""
BROKEN = "printf 'flush ruleset\\ntable inet mine { chain c { tcp dport nonsense } }\\n' >/etc/nftables.conf"
VERBS = {
    "start": "systemctl start nftables",
    "restart": "systemctl restart nftables",
    "reload": "systemctl reload nftables",
    "stop": "systemctl stop nftables",
    "try-restart": "systemctl start nftables; systemctl try-restart nftables",
    "condrestart": "systemctl condrestart nftables",
    "reload-or-restart": "systemctl reload-or-restart nftables",
    "enable": "systemctl enable --now nftables",
    "restart with a broken file": f"cp /etc/nftables.conf /run/rules; {BROKEN}; systemctl restart nftables",
    "reload with a broken file": "systemctl reload nftables",
    "start with a broken file": "systemctl start nftables",
    "stop after all that": "cp /run/rules /etc/nftables.conf; systemctl stop nftables",
}
BY_HAND = {
    "flush": "nft flush ruleset",
    "delete": "nft delete table inet wgmesh",
    "a file of one's own": "echo 'flush ruleset; table inet mine { }' | nft -f -",
    "flush of a family": "nft flush ruleset inet",
    "several times": "for i in 1 2 3 4 5; do nft flush ruleset; done",
    "emptied by its name": "nft flush table inet wgmesh",
    "one chain emptied": "nft flush chain inet wgmesh input",
    "made dormant": "nft 'add table inet wgmesh { flags dormant; }'",
}


@pytest.fixture
def node(hosts: Hosts, web_1: Node, web_2: Node) -> Iterator[Node]:
    for each in (web_1, web_2):
        each.bring(hosts.document(each.name, PAIR))
    yield web_1
    web_1.inside("systemctl disable -q --now nftables 2>/dev/null", check=False)


def protected(node: Node) -> bool:
    """The table is what the files in force say, and the guard runs."""
    return bool(node.status()["differences"] == [])


def has_table(node: Node) -> bool:
    return "table inet wgmesh" in node.inside("nft list tables").splitlines()


def answers(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


@pytest.fixture
def listener(node: Node) -> Iterator[int]:
    node.inside("systemd-run -q --unit=open python3 -m http.server 8080; sleep 1")
    yield 8080
    node.inside("systemctl stop open", check=False)


def test_every_verb_of_nftables_keeps_the_table(node: Node, listener: int) -> None:
    """As on Debian, where its file begins with `flush ruleset`; with the guard off."""
    node.inside("systemctl stop wgmesh-guard")
    try:
        for verb, script in VERBS.items():
            node.inside(script, check=False)
            assert has_table(node), verb
            assert not answers(node.address, listener), verb
    finally:
        node.inside("systemctl start wgmesh-guard")
    assert protected(node)


@pytest.mark.parametrize(
    "how", ["flush", *(pytest.param(each, marks=pytest.mark.long) for each in BY_HAND if each != "flush")]
)
def test_what_is_taken_away_by_hand_is_back_without_anybody_calling(
    node: Node, listener: int, how: str
) -> None:
    node.inside(BY_HAND[how])
    wait(lambda: has_table(node) and protected(node), SECONDS)
    assert not answers(node.address, listener)


def test_the_journal_says_who_did_it(node: Node) -> None:
    node.inside("journalctl --rotate -q; journalctl --vacuum-time=1s -q; nft flush ruleset", check=False)
    wait(lambda: "was removed by `nft`" in node.inside("journalctl -q -t wgmesh -o cat"), SECONDS)
    said = node.inside("journalctl -q -t wgmesh -o cat")
    assert "flush ruleset" in said


def test_connections_and_peers_outlive_a_flush(node: Node, web_2: Node) -> None:
    wait(lambda: "1 received" in node.inside("ping -c 1 -W 1 10.10.0.2", check=False), 30)
    echo = (
        "import socket\ns = socket.create_server(('10.10.0.1', 7001))\nprint('ready')\n"
        "c, _ = s.accept()\nwhile c.send(c.recv(9)): pass"
    )
    serving = node.background(echo)
    dial = (
        "import socket, time\nc = socket.create_connection(('10.10.0.1', 7001), timeout=10)\nprint('ready')\n"
        "for _ in range(60):\n    c.send(b'x'); assert c.recv(1) == b'x'; time.sleep(0.05)\nprint('whole')"
    )
    dialling = web_2.background(dial)
    with node.pinging("10.10.0.2", 0.05) as pings:
        for _ in range(3):
            node.inside("nft flush ruleset; sleep 0.7")
    assert dialling.communicate()[0] == "whole\n"
    serving.kill()
    serving.wait()
    assert pings.lost() == []


@pytest.mark.long
def test_a_guard_that_is_killed_or_stopped_comes_back(node: Node) -> None:
    pid = node.inside("systemctl show --property=MainPID --value wgmesh-guard")
    node.inside(f"kill -KILL {pid}; nft flush ruleset")
    wait(lambda: has_table(node), SECONDS)
    node.inside("systemctl isolate multi-user.target; nft flush ruleset")
    wait(lambda: has_table(node), SECONDS)
    node.inside("systemctl stop wgmesh-guard")
    assert "wgmesh-guard.service" in [each["item"] for each in node.status()["differences"]]
    assert node.apply(node.inside("cat /var/lib/wgmesh/current/document") + "\n").word == "CONFIRMED"
    wait(lambda: protected(node), SECONDS)


def test_during_a_trial_it_is_the_trials_table_that_comes_back(node: Node, hosts: Hosts) -> None:
    document = hosts.document("web-1", PAIR, public=["tcp/4711"])
    assert node.agent("apply", document).word == "RECONNECT"
    wait(lambda: node.status()["state"] == "live", DEADLINE)
    # nft itself may fail where two of its runs change the ruleset at once: as the guard does after a stop.
    for act in ("nft flush ruleset", "systemctl restart nftables || systemctl restart nftables"):
        node.inside(act)
        wait(lambda: has_table(node), SECONDS)
        assert "4711" in node.inside("nft list table inet wgmesh")
    assert node.agent("apply", document).word == "CONFIRMED"
    assert protected(node)


@pytest.mark.long
def test_a_rollback_brings_the_committed_table_back_also_after_a_flush(node: Node, hosts: Hosts) -> None:
    assert node.agent("apply", hosts.document("web-1", PAIR, public=["tcp/4712"])).word == "RECONNECT"
    wait(lambda: node.status()["state"] == "live", DEADLINE)
    node.inside("nft flush ruleset")
    node.wait_idle()
    wait(lambda: has_table(node), SECONDS)
    assert "4712" not in node.inside("nft list table inet wgmesh")
    assert protected(node)


@pytest.mark.long
def test_a_damaged_generation_still_gets_a_table(node: Node, hosts: Hosts) -> None:
    kept = node.inside("cat /var/lib/wgmesh/current/document") + "\n"
    node.inside("echo x >>/var/lib/wgmesh/current/document; nft flush ruleset")
    wait(lambda: has_table(node), SECONDS)
    assert "ssh_sources4" in node.inside("nft list table inet wgmesh")
    node.inside("echo '}' >>/var/lib/wgmesh/current/firewall.nft; nft flush ruleset")
    wait(lambda: has_table(node), SECONDS)
    assert "ssh_sources4" not in node.inside("nft list table inet wgmesh"), "the rescue ruleset"
    assert node.apply(kept).word == "CONFIRMED"
    assert protected(node)


@pytest.mark.long
def test_at_boot_nftables_does_not_have_the_last_word(node: Node, listener: int) -> None:
    node.inside("systemctl enable -q nftables")
    node.reboot()
    assert has_table(node)
    wait(lambda: protected(node), 20)
    node.inside("nft flush ruleset")
    wait(lambda: has_table(node), SECONDS)


@pytest.mark.long
def test_after_leaving_nobody_brings_the_table_back(hosts: Hosts, web_2: Node) -> None:
    """The last test of this file: it takes the second host out, and back in."""
    assert web_2.agent("leave").word == "LEFT"
    assert not has_table(web_2)
    web_2.inside("nft flush ruleset; systemctl restart nftables; systemctl stop nftables")
    assert not has_table(web_2)
    assert web_2.inside("systemctl is-active wgmesh-guard", check=False) == "inactive"
    assert web_2.inside("find /etc/systemd -path '*wgmesh*'") == ""
    assert web_2.install().word == "INSTALLED"
    assert web_2.agent("keys", hosts.keys.bundle("web-2")).word == "STORED"
    document = hosts.document("web-2", PAIR)
    assert web_2.agent("apply", document).word == "RECONNECT"
    wait(lambda: web_2.inside(f"{CALL} status | grep -c idle", check=False) == "1", DEADLINE + 30)
    assert not has_table(web_2), "a first change that was rolled back leaves no table"
    web_2.inside("rm -f /run/wgmesh/outcome.json")
    assert web_2.apply(document).word == "CONFIRMED"
    wait(lambda: protected(web_2), SECONDS)
