"""A network behind a node: a LAN behind web-1 that web-2 reaches, and that reaches web-2."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.nodes import ADDRESSES, Hosts, Node, Run
from tests.host.trials import PAIR

pytestmark = pytest.mark.hosts

LAN, HOST = "10.20.0.0/16", "10.20.0.5"
_LAN_OF_WEB_1 = f"""
ip netns add lan; ip link add lan0 type veth peer name eth0 netns lan
ip address add 10.20.0.1/16 dev lan0; ip link set lan0 up
ip -n lan link set lo up; ip -n lan link set eth0 up
ip -n lan address add {HOST}/16 dev eth0; ip -n lan route add default via 10.20.0.1
systemd-run -q --unit=lan-http ip netns exec lan python3 -m http.server 8080
"""
_GONE = "systemctl stop lan-http; ip netns del lan; ip link del lan0; true"
_ROUTES = "ip -4 route show proto 87"


@pytest.fixture(scope="module")
def lan(web_1: Node) -> Iterator[Node]:
    """web-1 with a LAN behind it."""
    web_1.inside(_LAN_OF_WEB_1)
    yield web_1
    web_1.inside(_GONE)


def _nodes(**router: Any) -> dict[str, Any]:
    return {name: {"address": ADDRESSES[name], **(router if name == "web-1" else {})} for name in PAIR}


def _document(hosts: Hosts, name: str, *, routes: list[str], **mesh: Any) -> str:
    changes = {f"mesh_{key}": value for key, value in mesh.items()}
    return hosts.document(name, PAIR, mesh_nodes=_nodes(routes=routes), **changes)


def _apply(hosts: Hosts, *nodes: Node, routes: list[str], **mesh: Any) -> list[Run]:
    return [node.apply(_document(hosts, node.name, routes=routes, **mesh)) for node in nodes]


@pytest.fixture
def routed(hosts: Hosts, lan: Node, web_2: Node) -> Node:
    """web-2 with a mesh in force in which the LAN is behind web-1."""
    for node in (lan, web_2):
        node.bring(_document(hosts, node.name, routes=[LAN]))
    return web_2


def _pings(node: Node, address: str, *, within: str = "") -> bool:
    return "1 received" in node.inside(f"{within} ping -n -c 1 -W 3 {address}", check=False)


def _gets(node: Node) -> bool:
    opened = f"import socket; socket.create_connection(('{HOST}', 8080), 3); print('open')"
    return "open" in node.inside(f'python3 -c "{opened}"', check=False)


def test_a_network_is_reached_both_ways_and_no_packet_is_lost_when_it_comes(
    hosts: Hosts, lan: Node, web_2: Node
) -> None:
    for node in (lan, web_2):
        node.bring(_document(hosts, node.name, routes=[]))
    assert not _pings(web_2, HOST)
    with web_2.pinging(ADDRESSES["web-1"], 0.005) as pings:
        runs = _apply(hosts, lan, web_2, routes=[LAN])
    assert [run.word for run in runs] == ["CONFIRMED", "CONFIRMED"], runs
    assert len(pings.answered) > 50
    assert pings.lost() == []
    assert _pings(web_2, HOST)
    assert _pings(lan, ADDRESSES["web-2"], within="ip netns exec lan")
    assert _gets(web_2)
    assert LAN in web_2.inside(_ROUTES)
    assert LAN not in lan.inside(_ROUTES), "the node itself has its own way there"
    assert [node.status()["differences"] for node in (lan, web_2)] == [[], []]


def test_under_a_policy_rules_name_the_network(hosts: Hosts, routed: Node, lan: Node) -> None:
    rule = {"from": ["web-2"], "to": [LAN], "allow": ["tcp/8080"]}
    for policy, reached in (([], False), ([rule], True)):
        at_router, _ = _apply(hosts, lan, routed, routes=[LAN], policy=policy)
        assert at_router.word == "CONFIRMED", at_router.out
        assert _gets(routed) == reached
    assert _pings(routed, HOST), "echo always passes"


def test_a_route_that_is_gone_is_told_and_comes_back_by_every_way(hosts: Hosts, routed: Node) -> None:
    document = _document(hosts, "web-2", routes=[LAN])
    lost = f"ip route del {LAN} dev wg0"
    for cure in ("systemctl reload wg-quick@wg0", "systemctl restart wg-quick@wg0"):
        routed.inside(lost)
        (found,) = [each for each in routed.status()["differences"] if each["item"].startswith("route ")]
        assert found == {"item": f"route {LAN}", "live": "absent", "wanted": "present"}
        routed.inside(cure)
        assert routed.status()["differences"] == []
    routed.inside(lost)
    assert routed.apply(document).word == "CONFIRMED"
    assert LAN in routed.inside(_ROUTES)


def test_a_rollback_takes_the_route_back(hosts: Hosts, lan: Node, web_2: Node) -> None:
    web_2.bring(_document(hosts, "web-2", routes=[]))
    before = web_2.live()
    web_2.inside("echo interface fail >/etc/wgmesh/failpoint")
    run = web_2.apply(_document(hosts, "web-2", routes=[LAN]))
    web_2.settle()
    assert run.word == "ROLLED-BACK", run.out
    assert web_2.live() == before
    assert LAN not in web_2.inside("ip route; wg show wg0 allowed-ips")


def test_a_node_that_is_not_enabled_takes_its_networks_along(hosts: Hosts, routed: Node) -> None:
    nodes = _nodes(routes=[LAN], enabled=False)
    assert routed.apply(hosts.document("web-2", PAIR, mesh_nodes=nodes)).word == "CONFIRMED"
    assert LAN not in routed.inside("ip route; wg show wg0 allowed-ips; nft list ruleset")


def test_a_network_that_the_host_has_is_refused_by_name(hosts: Hosts, lan: Node, web_2: Node) -> None:
    web_2.bring(_document(hosts, "web-2", routes=[]))
    web_2.inside(
        "ip link add br-app type bridge; ip address add 10.20.3.1/24 dev br-app; ip link set br-app up"
    )
    try:
        before = web_2.live()
        run = web_2.agent("apply", _document(hosts, "web-2", routes=[LAN]))
        assert (run.word, run.code) == ("REFUSED", 65), run.out
        assert (
            f"{LAN} overlaps the network 10.20.3.0/24 of br-app (its address 10.20.3.1/24): take {LAN} out "
            f"of the `routes` of a node in the stack file, or remove that network from br-app"
        ) in run.out
        assert web_2.live() == before
    finally:
        web_2.inside("ip link del br-app")
