"""Who holds the lock and hangs is named, and makes way."""

import re

import pytest

from lab.testing import wait
from tests.host.nodes import CALL, Hosts, Node
from tests.host.trials import NEXT, PAIR, another_port, applying, set_deadline

pytestmark = pytest.mark.hosts


@pytest.fixture
def node(impatient: Node) -> Node:
    return impatient


def test_a_stopped_holder_of_the_lock_is_named_and_makes_way(node: Node, hosts: Hosts, new: str) -> None:
    node.inside("echo 'staged stop' >/etc/wgmesh/failpoint")
    with applying(node, new):
        wait(lambda: node.inside("ls /etc/wgmesh/failpoint 2>/dev/null || echo hit") == "hit", 20)
    other = hosts.document("web-1", PAIR, public=[another_port()])
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
    assert NEXT[command](node), command
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
    set_deadline(node, 60)
    node.inside("echo 'staged 1000' >/etc/wgmesh/failpoint")
    run = node.ssh(f"exec timeout -s KILL 5 {CALL} apply", new)
    node.inside("rm /etc/wgmesh/failpoint")
    assert run.code in (137, 255), run
    assert node.apply(new).word == "CONFIRMED"
