"""What a change costs a node: processes and connections. Times are measured in `bench`."""

import re
import time

import pytest

from tests.host.nodes import Hosts, Node
from tests.host.trials import PAIR, THREE, another_port, set_deadline

pytestmark = pytest.mark.hosts

# Processes, those of two connections of SSH with their shells included. Measured: 43, 11 and 95.
CHANGE, UNCHANGED, FIRST = 52, 15, 106
# The watch of a trial makes three in each second, however long a busy machine takes.
A_SECOND = 4


def _processes(node: Node) -> int:
    """Return the number of the process that was made last on this host, which has its own numbers."""
    return int(node.inside("cut -d' ' -f5 /proc/loadavg"))


def _taken(node: Node, document: str, word: str) -> float:
    """Return how many processes an `apply` with this answer takes, but for those that come with time."""
    before, began = _processes(node), time.monotonic()
    assert node.apply(document).word == word
    return _processes(node) - before - A_SECOND * (time.monotonic() - began)


def _reloads(node: Node) -> int:
    """Return how often systemd has read all units again."""
    return len(re.findall(r"Reloading\.$", node.inside("journalctl -q -o cat _PID=1"), re.MULTILINE))


def test_a_change_takes_few_processes_and_reloads_no_units(impatient: Node, hosts: Hosts) -> None:
    node = impatient
    set_deadline(node, 60)
    taken = []
    for document in (
        hosts.document("web-1", PAIR, public=[another_port()]),
        hosts.document("web-1", THREE),
        hosts.document("web-1", PAIR),
    ):
        reloads = _reloads(node)
        taken.append(_taken(node, document, "CONFIRMED"))
        assert _reloads(node) == reloads
    assert min(taken) <= CHANGE
    # where a trial takes long, on a busy machine, the agent asks for a third connection
    assert max(taken) <= CHANGE + UNCHANGED
    assert _taken(node, hosts.document("web-1", PAIR), "UNCHANGED") <= UNCHANGED


def test_the_first_files_take_few_processes_and_reload_units_once(fresh: Node, hosts: Hosts) -> None:
    set_deadline(fresh, 60)
    reloads = _reloads(fresh)
    assert _taken(fresh, hosts.document("web-3", THREE), "CONFIRMED") <= FIRST
    assert _reloads(fresh) - reloads == 1
