"""A change takes two connections, also where one of them dies."""

import re

import pytest

from lab.testing import wait
from tests.host.nodes import Hosts, Node
from tests.host.trials import PAIR, THREE, another_port, applying, set_deadline

pytestmark = pytest.mark.hosts


@pytest.fixture
def node(impatient: Node) -> Node:
    return impatient


def _connections(node: Node) -> int:
    return len(
        re.findall("Accepted publickey for root", node.inside("journalctl -q -o cat -t sshd -t sshd-session"))
    )


def test_a_change_takes_two_connections(node: Node, hosts: Hosts) -> None:
    set_deadline(node, 60)
    for document in (
        hosts.document("web-1", PAIR, public=[another_port()]),
        hosts.document("web-1", THREE),
        hosts.document("web-1", PAIR, mesh_port=51999),
        hosts.document("web-1", PAIR),
    ):
        before = _connections(node)
        assert node.apply(document).word == "CONFIRMED"
        assert _connections(node) - before == 2


def test_the_first_files_take_two_connections(fresh: Node, hosts: Hosts) -> None:
    set_deadline(fresh, 60)
    before = _connections(fresh)
    assert fresh.apply(hosts.document("web-3", THREE)).word == "CONFIRMED"
    assert _connections(fresh) - before == 2


@pytest.mark.long
def test_a_trial_that_fails_is_told_over_the_first_connection(node: Node, new: str) -> None:
    node.inside("echo 'sysctl fail' >/etc/wgmesh/failpoint")
    assert node.agent("apply", new).word == "ROLLED-BACK"


@pytest.mark.long
def test_a_first_connection_that_dies_is_made_up_for(node: Node, new: str) -> None:
    set_deadline(node, 30)
    node.inside("echo 'firewall 3' >/etc/wgmesh/failpoint")
    with applying(node, new):
        wait(node.pending, 15)
    assert node.apply(new).word == "CONFIRMED"
