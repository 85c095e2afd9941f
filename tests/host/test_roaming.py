"""Peers that call: the endpoint that a peer called from stays, and the port is open to wherever that is."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.nodes import ADDRESSES, Hosts, Node

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
ELSEWHERE = "198.51.100.9:40001"


def _endpoint(node: Node, hosts: Hosts) -> str:
    shown = node.inside("wg show wg0 endpoints").splitlines()
    return next(line.split("\t")[1] for line in shown if line.startswith(hosts.keys.public("web-2")))


def _nodes(**web_2: Any) -> dict[str, Any]:
    """The nodes of a mesh whose web-2 has these settings."""
    return {
        "web-1": {"address": ADDRESSES["web-1"], "keepalive": 9},
        "web-2": {"address": ADDRESSES["web-2"], **web_2},
    }


@pytest.fixture
def silent(hosts: Hosts, web_2: Node) -> Iterator[None]:
    """No packet of a tunnel that web-2 may have, now or later: these would bring the endpoint back."""
    drop = f"ip daddr {hosts.address('web-1')} meta l4proto udp drop"
    hook = "type filter hook output priority raw; policy accept"
    web_2.inside(f"nft 'table inet silent {{ chain out {{ {hook}; {drop}; }}; }}'")
    yield
    web_2.inside("nft delete table inet silent")


@pytest.fixture
def roamed(hosts: Hosts, web_1: Node, silent: None) -> Iterator[Node]:
    """web-1 after web-2 has called from elsewhere."""
    web_1.bring(hosts.document("web-1", PAIR))
    web_1.inside(f"wg set wg0 peer {hosts.keys.public('web-2')} endpoint {ELSEWHERE}")
    yield web_1
    web_1.inside(f"wg set wg0 peer {hosts.keys.public('web-2')} endpoint {hosts.address('web-2')}:51820")


def test_a_change_of_something_else_does_not_send_packets_to_the_old_place(
    roamed: Node, hosts: Hosts
) -> None:
    assert roamed.status()["differences"] == []
    run = roamed.apply(hosts.document("web-1", PAIR, keepalive=9))
    assert run.word == "CONFIRMED", run.out
    assert _endpoint(roamed, hosts) == ELSEWHERE
    assert "9" in roamed.inside("wg show wg0 persistent-keepalive").split("\t")[1]


def test_a_trial_that_is_undone_leaves_the_endpoint(roamed: Node, hosts: Hosts) -> None:
    roamed.inside("echo 'checked fail' >/etc/wgmesh/failpoint")
    run = roamed.apply(hosts.document("web-1", PAIR, keepalive=11))
    assert run.word == "ROLLED-BACK", run.out
    roamed.settle()
    assert _endpoint(roamed, hosts) == ELSEWHERE
    assert roamed.status()["differences"] == []


def test_a_peer_gets_no_endpoint_and_keeps_the_one_it_called_from(roamed: Node, hosts: Hosts) -> None:
    document = hosts.document("web-1", PAIR, mesh_nodes=_nodes(endpoint="none"))
    run = roamed.apply(document)
    assert run.word == "CONFIRMED", run.out
    assert "Endpoint" not in roamed.inside("cat /etc/wireguard/wg0.conf")
    assert _endpoint(roamed, hosts) == ELSEWHERE
    assert roamed.status()["differences"] == []
    run = roamed.apply(hosts.document("web-1", PAIR, mesh_nodes=_nodes()))
    assert run.word == "CONFIRMED", run.out
    assert _endpoint(roamed, hosts) == f"{hosts.address('web-2')}:51820", "the files say something new"


def test_a_table_that_keeps_callers_out_is_refused(roamed: Node, hosts: Hosts) -> None:
    """The port is closed to all but known endpoints, although a peer may call from anywhere."""
    document = hosts.document("web-1", PAIR, mesh_nodes=_nodes(endpoint="none"))
    closed = "".join(
        line for line in document.splitlines(keepends=True) if "from peers without an endpoint" not in line
    )
    assert closed != document
    run = roamed.apply(closed)
    assert run.word == "REFUSED", run.out
    assert "a peer without an endpoint" in run.out
