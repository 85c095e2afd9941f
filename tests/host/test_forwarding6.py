"""A network of IPv6 behind web-1, which forwards IPv6 for that alone, and is a host again afterwards."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.advertisement import ADVERTISE
from tests.host.nodes import ADDRESSES, Hosts, Node
from tests.host.trials import PAIR

pytestmark = pytest.mark.hosts

LAN, HOST = "fd20:0:0:7::/64", "fd20:0:0:7::5"
_LAN_OF_WEB_1: Final = f"""
ip netns add lan; ip link add lan0 type veth peer name eth0 netns lan
ip address add fd20:0:0:7::1/64 dev lan0 nodad; ip link set lan0 up
ip -n lan link set lo up; ip -n lan link set eth0 up
ip -n lan address add {HOST}/64 dev eth0 nodad; ip -n lan -6 route add default via fd20:0:0:7::1
"""
_GONE: Final = "ip netns del lan; ip link del lan0; true"
_FORWARDING: Final = "sysctl net.ipv6.conf | grep '[.]forwarding'"
# What a host has that forwards IPv6 in part, as somebody set it up: to be found again after all.
_OWN: Final = "sysctl -qw net.ipv6.conf.lan0.forwarding=1"
_ADVERTISED: Final = f"""
ip netns add isp; ip link add uplink type veth peer name eth0 netns isp
sysctl -qw net.ipv6.conf.uplink.accept_ra=1
ip link set uplink up; ip -n isp link set eth0 up
for i in $(seq 50); do
    ip netns exec isp python3 -c '{ADVERTISE}' eth0 2>/dev/null
    ip -6 route show default dev uplink | grep -q via && exit 0
    sleep 0.1
done
exit 1
"""
_NO_ISP: Final = "ip netns del isp; ip link del uplink; true"


@pytest.fixture
def lan(hosts: Hosts, web_1: Node) -> Iterator[Node]:
    """web-1 with a LAN behind it, and in both families of the mesh."""
    web_1.inside(_LAN_OF_WEB_1)
    web_1.bring(_document(hosts, "web-1"))
    yield web_1
    web_1.inside(_GONE)
    web_1.bring(hosts.document("web-1", PAIR))


def _document(hosts: Hosts, name: str, *, routes: tuple[str, ...] = ()) -> str:
    nodes: dict[str, Any] = {each: {"address": ADDRESSES[each]} for each in PAIR}
    nodes["web-1"]["routes"] = list(routes)
    return hosts.document(name, PAIR, mesh_nodes=nodes, mesh_cidr6="fd00:10::/64")


def _pings(node: Node, address: str, *, within: str = "") -> bool:
    return "1 received" in node.inside(f"{within} ping -6 -n -c 1 -W 3 {address}", check=False)


def test_a_network_of_ipv6_is_reached_and_no_trace_of_forwarding_stays(
    hosts: Hosts, lan: Node, web_2: Node
) -> None:
    lan.inside(_OWN)
    before = lan.inside(_FORWARDING)
    assert "net.ipv6.conf.all.forwarding = 0" in before
    for node in (web_2, lan):
        assert node.apply(_document(hosts, node.name, routes=(LAN,))).word == "CONFIRMED"
    assert " = 0" not in lan.inside(_FORWARDING)
    assert _pings(web_2, HOST)
    assert _pings(lan, "fd00:10::2", within="ip netns exec lan")
    assert [node.status()["differences"] for node in (lan, web_2)] == [[], []]
    lan.inside("sysctl -qw net.ipv6.conf.all.forwarding=0")
    assert "sysctl net.ipv6.conf.all.forwarding" in [each["item"] for each in lan.status()["differences"]]
    assert lan.apply(_document(hosts, "web-1", routes=(LAN,))).word == "CONFIRMED"
    assert _pings(web_2, HOST)
    for node in (web_2, lan):
        assert node.apply(_document(hosts, node.name)).word == "CONFIRMED"
    assert lan.inside(_FORWARDING) == before
    assert not _pings(web_2, HOST)


def test_a_rollback_ends_forwarding(hosts: Hosts, lan: Node) -> None:
    lan.inside(_OWN)
    before = lan.inside(_FORWARDING), lan.live()
    lan.inside("echo interface fail >/etc/wgmesh/failpoint")
    run = lan.apply(_document(hosts, "web-1", routes=(LAN,)))
    lan.settle()
    assert run.word == "ROLLED-BACK", run.out
    assert (lan.inside(_FORWARDING), lan.live()) == before


def test_a_rule_of_somebody_else_that_stops_what_passes_is_named(hosts: Hosts, lan: Node) -> None:
    chain = "{ type filter hook forward priority 0; policy drop; }"
    lan.inside(f"nft 'add table ip6 theirs; add chain ip6 theirs FORWARD {chain}'")
    try:
        run = lan.apply(_document(hosts, "web-1", routes=(LAN,)))
        assert run.word == "CONFIRMED", run.out
        told = [each for each in lan.status()["differences"] if LAN in each["item"]]
        assert told, lan.status()["differences"]
        assert all("theirs" in each["live"] for each in told)
    finally:
        lan.inside("nft delete table ip6 theirs")


def test_a_route_from_advertisements_is_not_taken_from_the_host(hosts: Hosts, lan: Node) -> None:
    lan.inside(_ADVERTISED)
    try:
        before, route = lan.live(), lan.inside("ip -6 route show default dev uplink")
        run = lan.apply(_document(hosts, "web-1", routes=(LAN,)))
        assert run.word == "REFUSED", run.out
        assert "write `net.ipv6.conf.uplink.accept_ra = 2` into a file in /etc/sysctl.d" in run.out
        assert (lan.live(), lan.inside("ip -6 route show default dev uplink").split()[:3]) == (
            before,
            route.split()[:3],
        )
        lan.inside("sysctl -qw net.ipv6.conf.uplink.accept_ra=2")
        assert lan.apply(_document(hosts, "web-1", routes=(LAN,))).word == "CONFIRMED"
        assert "via" in lan.inside("ip -6 route show default dev uplink")
    finally:
        lan.inside(_NO_ISP)
