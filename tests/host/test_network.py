"""The way to a node at its worst: packets lost, no way at all, two at once, a client that dies."""

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import pytest

from lab.testing import wait
from mesh.host.system.faults import STEPS
from tests.host.nodes import CALL, DEADLINE, Hosts, Node, Run

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
THREE = ("web-1", "web-2", "web-3")
_FORWARD = [name for name in STEPS if not name.startswith(("rollback", "undone"))]
_FEW = ("armed", "committed")
_ports = count(20_000)


@pytest.fixture
def node(hosts: Hosts, web_1: Node) -> Node:
    web_1.bring(hosts.document("web-1", PAIR))
    return web_1


def fresh(hosts: Hosts) -> str:
    """Files the host has never seen."""
    return hosts.document("web-1", THREE, public=[f"tcp/{next(_ports)}"])


def until_committed(node: Node, document: str) -> Run:
    """Apply as often as a user would run `up` again, for at most five minutes."""
    end = time.monotonic() + 300
    while True:
        run = node.apply(document, dials=20)
        if run.word in ("CONFIRMED", "UNCHANGED") or time.monotonic() > end:
            return run


@contextmanager
def on_the_way(hosts: Hosts, node: Node, verdict: str) -> Iterator[None]:
    """Treat SSH packets to and from a node with this statement, in the router."""
    router = hosts.lab._router
    rules = f"ip daddr {node.address} tcp dport 22 {verdict}; ip saddr {node.address} tcp sport 22 {verdict};"
    chain = f"chain c {{ type filter hook forward priority 5; {rules} }};"
    router.run("nft", "-f", "-", stdin=f"table ip bad_way {{ {chain} }}\n")
    try:
        yield
    finally:
        router.run("nft", "delete", "table", "ip", "bad_way")


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.long)])
def test_ten_percent_loss_on_the_way_delays_but_stops_nothing(node: Node, hosts: Hosts, times: int) -> None:
    with on_the_way(hosts, node, "numgen random mod 10 == 0 drop"):
        for _ in range(times):
            run = until_committed(node, fresh(hosts))
            assert run.word in ("CONFIRMED", "UNCHANGED"), run.out
    node.wait_idle()
    assert node.status()["differences"] == []


def test_a_way_that_is_cut_during_a_trial_brings_the_old_state_back(node: Node, hosts: Hosts) -> None:
    before, document = node.live(), fresh(hosts)
    assert node.agent("apply", document).word == "RECONNECT"
    with on_the_way(hosts, node, "drop"):
        node.wait_idle()
        assert node.live() == before
    assert until_committed(node, document).word == "CONFIRMED"


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.long)])
def test_of_two_at_once_each_is_done_or_told_to_wait(node: Node, hosts: Hosts, rounds: int) -> None:
    for _ in range(rounds):
        documents = [fresh(hosts), fresh(hosts)]
        with ThreadPoolExecutor() as pool:
            words = sorted(run.word for run in pool.map(node.apply, documents))
        assert words in (["BUSY", "CONFIRMED"], ["CONFIRMED", "CONFIRMED"])
        node.wait_idle()
        assert node.status()["differences"] == []
        for text in documents:
            assert until_committed(node, text).word in ("CONFIRMED", "UNCHANGED")


@pytest.mark.parametrize(
    "step",
    [*_FEW, *(pytest.param(name, marks=pytest.mark.long) for name in _FORWARD if name not in _FEW)],
)
def test_a_client_killed_at_any_step_leaves_the_old_or_the_new_state(
    node: Node, hosts: Hosts, step: str
) -> None:
    document = fresh(hosts)
    old = node.live()
    assert node.apply(document).word == "CONFIRMED"
    new = node.live()
    assert node.apply(hosts.document("web-1", PAIR)).word == "CONFIRMED"
    node.inside(f"echo '{step} 3' >/etc/wgmesh/failpoint")
    for _dial in range(3):
        argv = node.ssh_argv(f"exec {CALL} apply")
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as client:
            assert client.stdin is not None
            client.stdin.write(document.encode())
            client.stdin.close()
            time.sleep(1.5)
            client.kill()
    node.inside("rm /etc/wgmesh/failpoint")
    node.wait_idle()
    wait(lambda: node.status()["differences"] == [], DEADLINE)
    assert node.live() in (old, new)
    node.inside("rm -f /run/wgmesh/outcome.json")
    assert node.apply(document).word in ("CONFIRMED", "UNCHANGED")
    assert node.live() == new
