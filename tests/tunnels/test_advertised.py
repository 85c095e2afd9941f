"""Routes from real router advertisements, on a node that is to forward IPv6. Needs root, for namespaces."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.advertisement import ADVERTISE
from tests.spaces import Space
from tests.tunnels.world import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces")

FORWARDING: Final = "net.ipv6.conf.all.forwarding"
_REFUSE: Final = """
from mesh.host.answers import AgentError
from mesh.host.live.advertised import refuse_loss_of_routes
from mesh.host.places import Places
import json, sys
try:
    refuse_loss_of_routes(Places(), json.loads(sys.argv[1]))
except AgentError as error:
    print(error.answer.name, error)
"""


@pytest.fixture
def node() -> Iterator[Space]:
    """A host that the router of its link has told the way out."""
    node, router = Space(), Space()
    router.run("ip", "link", "add", "lan", "type", "veth", "peer", "name", "eth0.7", "netns", str(node.pid))
    for space, link in ((router, "lan"), (node, "eth0.7")):
        space.run("ip", "link", "set", link, "up")
    # a dot in the name is a slash in the names of kernel settings
    node.run("sysctl", "-qw", "net.ipv6.conf.eth0/7.accept_ra=1")
    until(lambda: _told(node, router))
    yield node
    for space in (node, router):
        space.end()


def _told(node: Space, router: Space) -> bool:
    router.works(sys.executable, "-S", "-c", ADVERTISE, "lan")
    return _way_out(node) != ""


def _way_out(node: Space) -> str:
    return node.run("ip", "-6", "route", "show", "default")


def _said(node: Space, wanted: str = f'{{"{FORWARDING}": "1"}}') -> str:
    root = Path(__file__).parents[2]
    return node.run("env", f"PYTHONPATH={root}", sys.executable, "-c", _REFUSE, wanted)


def test_forwarding_would_cost_the_route_and_is_refused(node: Space) -> None:
    way = _way_out(node).split()
    assert _said(node) == (
        f"REFUSED /etc/sysctl.d/90-wgmesh.conf: with {FORWARDING} = 1 this host would lose the route default "
        f"via {way[2]} dev eth0.7, which comes from router advertisements: write "
        f"`net.ipv6.conf.eth0/7.accept_ra = 2` into a file in /etc/sysctl.d and run `sysctl --system`; or "
        f"take the relays and the IPv6 networks (routes) of this node out of the stack file\n"
    )
    node.run("sysctl", "-qw", f"{FORWARDING}=1")
    assert _way_out(node) == "", "the kernel keeps the route: there was nothing to refuse"


def test_what_the_message_says_keeps_the_route(node: Space) -> None:
    node.run("sysctl", "-qw", "net.ipv6.conf.eth0/7.accept_ra=2")
    assert _said(node) == ""
    node.run("sysctl", "-qw", f"{FORWARDING}=1")
    assert _way_out(node)


@pytest.mark.parametrize("wanted", ["{}", '{"net.ipv4.ip_forward": "1"}', f'{{"{FORWARDING}": "0"}}'])
def test_a_node_that_forwards_no_ipv6_is_not_refused(node: Space, wanted: str) -> None:
    assert _said(node, wanted) == ""


def test_a_program_that_reads_advertisements_itself_keeps_its_routes(node: Space) -> None:
    """As systemd-networkd does."""
    node.run("sysctl", "-qw", "net.ipv6.conf.eth0/7.accept_ra=0")
    router = _way_out(node).split()[2]
    node.run("ip", "-6", "route", "del", "default")
    node.run("ip", "-6", "route", "add", "default", "via", router, "dev", "eth0.7", "proto", "ra")
    assert _said(node) == ""
    node.run("sysctl", "-qw", f"{FORWARDING}=1")
    assert _way_out(node)


def test_a_host_that_forwards_already_loses_nothing(node: Space) -> None:
    node.run("sysctl", "-qw", "net.ipv6.conf.eth0/7.accept_ra=2", f"{FORWARDING}=1")
    # a dot in the name is a slash in the names of kernel settings
    node.run("sysctl", "-qw", "net.ipv6.conf.eth0/7.accept_ra=1")
    assert _said(node) == ""
    assert _way_out(node)
