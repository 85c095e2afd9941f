"""IPv6 in the tunnel beside IPv4: made, used, undone, kept over a reboot, refused where it cannot be."""

from typing import Any

import pytest

from lab.testing import wait
from tests.host.nodes import DEADLINE, Hosts, Node

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
BOTH: dict[str, Any] = {"mesh_cidr6": "fd00:10::/64"}
LISTEN = """
import socket
with socket.create_server(("::", {port}), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    while True:
        server.accept()[0].close()
"""
POLICY: dict[str, Any] = {
    "mesh_policy": [{"from": ["web-2"], "to": ["web-1"], "allow": ["tcp/7001"]}],
    "mesh_ssh": {"from": ["0.0.0.0/0"]},
}


@pytest.fixture
def pair(hosts: Hosts, web_1: Node, web_2: Node) -> tuple[Node, Node]:
    """Two nodes in IPv4 alone."""
    for node in (web_1, web_2):
        node.bring(hosts.document(node.name, PAIR))
    return web_1, web_2


def _in_ipv6(node: Node) -> str:
    """All that the tunnel has of the mesh's IPv6; a userspace WireGuard has its link's, too."""
    return node.inside(
        "{ ip -o -6 address show wg0; ip -6 route show dev wg0; wg show wg0 allowed-ips; } | grep fd00; true"
    )


def _reaches(node: Node, *addresses: str) -> list[bool]:
    return [
        bool(node.inside(f"ping -n -c 3 -i 0.3 -W 2 {to} >/dev/null && echo yes", check=False))
        for to in addresses
    ]


def test_a_running_pair_gets_ipv6_and_loses_no_packet_in_ipv4(hosts: Hosts, pair: tuple[Node, Node]) -> None:
    web_1, web_2 = pair
    assert _in_ipv6(web_1) == ""
    with web_1.pinging("10.10.0.2", 0.02) as pings:
        for node in pair:
            assert node.apply(hosts.document(node.name, PAIR, **BOTH)).word == "CONFIRMED"
    assert len(pings.answered) > 50
    assert pings.lost() == []
    assert _reaches(web_1, "fd00:10::2", "10.10.0.2") == [True, True]
    assert _reaches(web_2, "fd00:10::1", "10.10.0.1") == [True, True]
    assert web_1.inside("getent ahosts web-2 | cut -d' ' -f1 | sort -u").split() == [
        "10.10.0.2",
        "fd00:10::2",
    ]
    assert web_1.status()["differences"] == []
    web_1.reboot()
    wait(lambda: _reaches(web_1, "fd00:10::2", "10.10.0.2") == [True, True], 30)
    assert web_1.status()["differences"] == []
    for node in pair:
        assert node.apply(hosts.document(node.name, PAIR)).word == "CONFIRMED"
    assert _in_ipv6(web_1) == ""
    assert _reaches(web_1, "10.10.0.2") == [True]


def test_a_trial_of_ipv6_that_nobody_confirms_leaves_nothing(hosts: Hosts, pair: tuple[Node, Node]) -> None:
    web_1, _ = pair
    before = web_1.live()
    assert web_1.agent("apply", hosts.document("web-1", PAIR, **BOTH)).word == "RECONNECT"
    assert "fd00:10::1/64" in _in_ipv6(web_1)
    web_1.wait_idle(DEADLINE + 40)
    assert _in_ipv6(web_1) == ""
    assert web_1.live() == before


def test_the_policy_holds_in_both_families(hosts: Hosts, pair: tuple[Node, Node]) -> None:
    web_1, web_2 = pair
    for node in pair:
        assert node.apply(hosts.document(node.name, PAIR, **BOTH, **POLICY)).word == "CONFIRMED"
    for port in (7001, 7002):
        web_1.inside(f"systemd-run -q --unit=t{port} python3 -c '{LISTEN.format(port=port)}'")
    web_1.inside("sleep 1")
    try:
        opened = web_2.inside(
            "for to in 10.10.0.1 fd00:10::1; do for port in 7001 7002; do"
            " nc -z -w 3 $to $port && echo $to $port; done; done",
            check=False,
        )
        assert opened.splitlines() == ["10.10.0.1 7001", "fd00:10::1 7001"]
        assert _reaches(web_2, "fd00:10::1", "10.10.0.1") == [True, True]
    finally:
        web_1.inside("systemctl stop t7001 t7002", check=False)


def test_drift_in_ipv6_is_found_and_mended(hosts: Hosts, pair: tuple[Node, Node]) -> None:
    web_1, _ = pair
    document = hosts.document("web-1", PAIR, **BOTH)
    web_1.bring(document)
    web_1.inside("ip address del fd00:10::1/64 dev wg0; ip address add fd00:10::9/64 dev wg0 nodad")
    found = {entry["item"] for entry in web_1.status()["differences"]}
    assert {"address fd00:10::1/64", "address fd00:10::9/64"} <= found
    assert web_1.apply(document).word == "CONFIRMED"
    web_1.inside("ip -6 route del fd00:10::/64 dev wg0")
    assert "network fd00:10::/64" in {entry["item"] for entry in web_1.status()["differences"]}
    assert web_1.apply(document).word == "CONFIRMED"
    assert web_1.status()["differences"] == []


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (
            "sysctl -qw net.ipv6.conf.default.disable_ipv6=1",
            "sysctl -qw net.ipv6.conf.default.disable_ipv6=0",
            "net.ipv6.conf.default.disable_ipv6 is 1 on this host",
        ),
        (
            "sysctl -qw net.ipv6.conf.wg0.disable_ipv6=1",
            "sysctl -qw net.ipv6.conf.wg0.disable_ipv6=0",
            "net.ipv6.conf.wg0.disable_ipv6 is 1 on this host",
        ),
        (
            "ip link add br-six type bridge; ip address add fd00:10::99/64 dev br-six nodad",
            "ip link del br-six",
            "fd00:10::/64 of br-six (its address fd00:10::99/64): give the mesh another `cidr6`",
        ),
        (
            "ip -6 route add blackhole fd00:10::8/125",
            "ip -6 route del blackhole fd00:10::8/125",
            "fd00:10::/64 holds the route blackhole fd00:10::8/125",
        ),
    ],
)
def test_what_is_in_the_way_of_ipv6_is_refused_before_the_trial(
    hosts: Hosts, pair: tuple[Node, Node], before: str, after: str, told: str
) -> None:
    web_1, _ = pair
    web_1.inside(before)
    try:
        live = web_1.live()
        run = web_1.apply(hosts.document("web-1", PAIR, **BOTH))
        assert run.word == "REFUSED", run.out
        assert told in run.out
        assert web_1.live() == live
    finally:
        web_1.inside(after)


def test_after_a_restart_without_ipv6_ipv4_works_and_the_rest_is_told(
    hosts: Hosts, pair: tuple[Node, Node]
) -> None:
    web_1, _ = pair
    web_1.bring(hosts.document("web-1", PAIR, **BOTH))
    web_1.inside("echo 'net.ipv6.conf.default.disable_ipv6 = 1' >/etc/sysctl.d/99-off.conf")
    try:
        web_1.reboot()
        wait(lambda: _reaches(web_1, "10.10.0.2") == [True], 30)
        assert web_1.inside("systemctl is-active wg-quick@wg0") == "active"
        assert "address fd00:10::1/64" in {entry["item"] for entry in web_1.status()["differences"]}
        run = web_1.apply(hosts.document("web-1", PAIR, **BOTH))
        assert "(by /etc/sysctl.d/99-off.conf)" in run.out
    finally:
        web_1.inside("rm /etc/sysctl.d/99-off.conf; sysctl -qw net.ipv6.conf.default.disable_ipv6=0")
        web_1.inside("sysctl -qw net.ipv6.conf.wg0.disable_ipv6=0", check=False)
