"""What a change costs a node: processes and connections. Times are measured in `bench`."""

import re

import pytest

from tests.host.nodes import Hosts, Node
from tests.host.trials import PAIR, THREE, another_port, set_deadline

pytestmark = pytest.mark.hosts

# Of the host's process ids, two connections of SSH with their shells included. Measured: 75 to 78, and 20.
CHANGE, UNCHANGED = 90, 28
# Measured: 140. The first files put units in place and start them, too.
FIRST = 165


def _processes(node: Node) -> int:
    """Return the number of the process that was made last on this host, which has its own numbers."""
    return int(node.inside("cut -d' ' -f5 /proc/loadavg"))


def _reloads(node: Node) -> int:
    """Return how often systemd has read all units again."""
    return len(re.findall(r"Reloading\.$", node.inside("journalctl -q -o cat _PID=1"), re.MULTILINE))


def test_a_change_takes_few_processes_and_reloads_no_units(impatient: Node, hosts: Hosts) -> None:
    node = impatient
    set_deadline(node, 60)
    for document in (
        hosts.document("web-1", PAIR, public=[another_port()]),
        hosts.document("web-1", THREE),
        hosts.document("web-1", PAIR),
    ):
        before, reloads = _processes(node), _reloads(node)
        assert node.apply(document).word == "CONFIRMED"
        assert _processes(node) - before <= CHANGE
        assert _reloads(node) == reloads
    before = _processes(node)
    assert node.apply(hosts.document("web-1", PAIR)).word == "UNCHANGED"
    assert _processes(node) - before <= UNCHANGED


def test_the_first_files_take_few_processes_and_reload_units_once(fresh: Node, hosts: Hosts) -> None:
    set_deadline(fresh, 60)
    before, reloads = _processes(fresh), _reloads(fresh)
    assert fresh.apply(hosts.document("web-3", THREE)).word == "CONFIRMED"
    assert _processes(fresh) - before <= FIRST
    assert _reloads(fresh) - reloads == 1
