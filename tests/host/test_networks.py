"""Networks that were there before: never swallowed, never in the way of a peer, whatever they are made of."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from lab.testing import wait
from tests.host.nodes import DEADLINE, Hosts, Node

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
THREE = ("web-1", "web-2", "web-3")
MAIN = "$(ip route show default | sed 's/^default//')"

# What a host has before its first files, and what the refusal names.
IN_THE_WAY = {
    "a bridge of a wider network": (
        "ip link add br-app type bridge; ip addr add 10.10.0.1/16 dev br-app; ip link set br-app up",
        "ip link del br-app",
        "overlaps the network 10.10.0.0/16 of br-app (its address 10.10.0.1/16)",
    ),
    "a bridge of a part, down": (
        "ip link add docker0 type bridge; ip addr add 10.10.0.129/25 dev docker0",
        "ip link del docker0",
        "overlaps the network 10.10.0.128/25 of docker0",
    ),
    "a peer's address on lo": (
        "ip addr add 10.10.0.2/32 dev lo",
        "ip addr del 10.10.0.2/32 dev lo",
        "overlaps the network 10.10.0.2/32 of lo",
    ),
    "the network around the host": (
        "ip addr add 10.0.0.5/8 dev eth0",
        "ip addr del 10.0.0.5/8 dev eth0",
        "overlaps the network 10.0.0.0/8 of eth0",
    ),
    "a route of the same length": (
        "ip route add 10.10.0.0/24 dev eth0",
        "ip route del 10.10.0.0/24 dev eth0",
        "holds the route 10.10.0.0/24 dev eth0",
    ),
    "a blackhole": (
        "ip route add blackhole 10.10.0.128/25",
        "ip route del blackhole 10.10.0.128/25",
        "holds the route blackhole 10.10.0.128/25",
    ),
    "a VPN's table before main": (
        "ip route add 10.10.0.0/16 dev eth0 table 52; ip rule add pref 5270 lookup 52",
        "ip rule del pref 5270; ip route flush table 52",
        "the rule 5270: from all lookup 52 with the route 10.10.0.0/16 dev eth0 table 52",
    ),
    "a full tunnel that takes everything": (
        f"ip route add default {MAIN} table 51820; ip rule add pref 32000 not fwmark 0xca6c lookup 51820",
        "ip rule del pref 32000; ip route flush table 51820",
        "the way to 10.10.0.2 is taken by the rule 32000: not from all fwmark 0xca6c lookup 51820",
    ),
    "a rule about our own address": (
        f"ip route add default {MAIN} table 99; ip rule add pref 900 from 10.0.0.0/8 lookup 99",
        "ip rule del pref 900; ip route flush table 99",
        "is taken by the rule 900: from 10.0.0.0/8 lookup 99",
    ),
    "a rule that refuses a peer": (
        "ip rule add pref 900 to 10.10.0.2 prohibit",
        "ip rule del pref 900",
        "the rule 900: from all to 10.10.0.2 prohibit",
    ),
    "an address for anybody": (
        "ip route add local 10.10.0.0/16 dev lo",
        "ip route del local 10.10.0.0/16 dev lo",
        "is taken by the rule 0: from all lookup local with the route local 10.10.0.0/16 dev lo table local",
    ),
    "a gateway": (
        "ip route add 192.0.2.0/24 via 10.10.0.250 dev eth0 onlink",
        "ip route del 192.0.2.0/24",
        "holds the gateway of the route 192.0.2.0/24 via 10.10.0.250 dev eth0",
    ),
    "a DNS server": (
        "cp -a /etc/resolv.conf /root/; echo 'nameserver 10.10.0.53' >/etc/resolv.conf",
        "cp -a /root/resolv.conf /etc/; rm /root/resolv.conf",
        "holds this host's DNS server 10.10.0.53",
    ),
}
OFTEN = ("a bridge of a wider network", "a VPN's table before main")

# What looks alike and takes nothing from anybody.
BESIDE = f"""
ip route add 10.0.0.0/8 {MAIN}; ip route add 10.10.0.0/16 dev eth0
ip route add default {MAIN} table 51820; ip route add default {MAIN} table 200
ip rule add pref 20 from 192.0.2.77 lookup 200; ip rule add pref 21 fwmark 0x80000/0xff0000 lookup 200
ip rule add pref 22 iif eth0 lookup 200; ip rule add pref 23 uidrange 1000-2000 lookup 200
ip rule add pref 24 to 100.64.0.0/10 lookup 200; ip rule add pref 25 lookup 201
ip route add throw default table 201; ip route add 10.10.0.0/24 dev eth0 table 202
ip rule add pref 32000 lookup main suppress_prefixlength 0
ip rule add pref 32001 not fwmark 0xca6c lookup 51820
"""
BESIDE_GONE = """
for pref in 20 21 22 23 24 25 32000 32001; do ip rule del pref $pref; done
for table in 51820 200 201 202; do ip route flush table $table; done
ip route del 10.0.0.0/8; ip route del 10.10.0.0/16
"""
NETWORKS = (
    "ip rule; ip -6 rule; ip route show table all | grep -Ev 'dev wg0|fe80'; ip -o -4 addr | grep -v wg0"
)

# What comes after the commit, how it goes again, and what `check` says then.
LATER = {
    "a longer route elsewhere": (
        "ip route add 10.10.0.2/32 dev eth0",
        "ip route del 10.10.0.2/32",
        ("way to 10.10.0.2: dev eth0 instead of dev wg0", "10.10.0.0/24: holds the route 10.10.0.2/32"),
    ),
    "a rule with a table": (
        "ip route add 10.10.0.0/25 dev eth0 table 52; ip rule add pref 5270 lookup 52",
        "ip rule del pref 5270; ip route flush table 52",
        ("way to 10.10.0.2: dev eth0 table 52 instead of dev wg0", "is taken by the rule 5270"),
    ),
    "a rule about our own address": (
        f"ip route add default {MAIN} table 99; ip rule add pref 900 from 10.10.0.1 lookup 99",
        "ip rule del pref 900; ip route flush table 99",
        ("way to 10.10.0.2: dev eth0 table 99 from 10.10.0.1 instead of dev wg0", "rule 900"),
    ),
    "an unreachable route": (
        "ip route add unreachable 10.10.0.2",
        "ip route del unreachable 10.10.0.2",
        ("way to 10.10.0.2: none instead of dev wg0", "holds the route unreachable 10.10.0.2/32"),
    ),
    "a bridge of a wider network": (
        "ip link add br-app type bridge; ip addr add 10.10.0.1/16 dev br-app; ip link set br-app up",
        "ip link del br-app",
        ("10.10.0.0/24: overlaps the network 10.10.0.0/16 of br-app",),
    ),
}


@pytest.fixture(scope="module")
def host(hosts: Hosts) -> Iterator[Node]:
    node = hosts.boot("web-3")
    yield node
    hosts.lab.destroy(node.key)


@pytest.fixture
def guest(hosts: Hosts, host: Node) -> Node:
    """A host that is no node yet, with the agent and its keys, whatever another test left."""
    host.settle()
    if host.inside("[ ! -e /var/lib/wgmesh/current ] || echo a node"):
        assert host.agent("leave").word == "LEFT"
    assert host.install().word == "INSTALLED"
    assert host.agent("keys", hosts.keys.bundle("web-3")).word == "STORED"
    return host


@pytest.fixture
def mesh(hosts: Hosts, web_1: Node, web_2: Node) -> Node:
    for node in (web_1, web_2):
        node.bring(hosts.document(node.name, PAIR))
    return web_1


def _of_guest(hosts: Hosts) -> str:
    """Files in which the guest has two peers."""
    return hosts.document("web-3", THREE)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in OFTEN else pytest.mark.long) for name in IN_THE_WAY]
)
def test_a_network_that_is_in_use_is_refused_by_name(guest: Node, hosts: Hosts, name: str) -> None:
    setup, teardown, said = IN_THE_WAY[name]
    guest.inside(setup)
    try:
        before = guest.live() + guest.inside(NETWORKS)
        run = guest.agent("apply", hosts.document("web-3", ("web-2", "web-3")))
        assert (run.word, run.code) == ("REFUSED", 65), run.out
        assert said in run.out
        assert "give the mesh another `cidr` in the stack file, or" in run.out
        assert guest.live() + guest.inside(NETWORKS) == before
        assert guest.inside("ip link show wg0 2>&1", check=False).endswith("does not exist.")
    finally:
        guest.inside(teardown)


@pytest.mark.long
def test_an_endpoint_inside_the_mesh_is_refused(guest: Node, hosts: Hosts) -> None:
    document = re.sub(r"Endpoint = \S+", "Endpoint = 10.10.0.2:51820", _of_guest(hosts), count=1)
    run = guest.agent("apply", document)
    assert run.word == "REFUSED", run.out
    assert "the endpoint 10.10.0.2:51820 of peer 10.10.0.1/32 lies in 10.10.0.0/24" in run.out


def test_what_takes_nothing_from_anybody_is_no_conflict(guest: Node, hosts: Hosts) -> None:
    untouched = guest.inside(NETWORKS)
    guest.inside(BESIDE)
    before = guest.inside(NETWORKS)
    run = guest.apply(_of_guest(hosts))
    assert run.word == "CONFIRMED", run.out
    assert guest.status()["differences"] == []
    assert guest.inside("ip route get 10.10.0.2; ip route get 10.10.0.1 from 10.10.0.3").count("dev wg0") == 2
    assert guest.agent("leave").word == "LEFT"
    assert guest.inside(NETWORKS) == before
    guest.inside(BESIDE_GONE)
    assert guest.inside(NETWORKS) == untouched


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "a longer route elsewhere" else pytest.mark.long)
        for name in LATER
    ],
)
def test_what_comes_after_the_commit_is_told_by_check(mesh: Node, hosts: Hosts, name: str) -> None:
    setup, teardown, said = LATER[name]
    mesh.inside(setup)
    try:
        found = "\n".join(
            f"{each['item']}: {each['live']} instead of {each['wanted']}"
            for each in mesh.status()["differences"]
        )
        assert all(part in found for part in said), found
        run = mesh.agent("apply", hosts.document("web-1", PAIR, public=["tcp/8080"]))
        assert run.word == "REFUSED", run.out
    finally:
        mesh.inside(teardown)
    assert mesh.status()["differences"] == []


@pytest.mark.long
def test_a_route_that_appears_during_a_trial_rolls_it_back(mesh: Node, hosts: Hosts) -> None:
    before = mesh.live()
    document = hosts.document("web-1", PAIR, public=["tcp/8080"])
    assert mesh.agent("apply", document).word == "RECONNECT"
    wait(lambda: mesh.status()["state"] == "live", DEADLINE)
    mesh.inside("ip route add 10.10.0.2/32 dev eth0")
    run = mesh.agent("apply", document)
    mesh.inside("ip route del 10.10.0.2/32")
    assert run.word == "ROLLED-BACK", run.out
    assert "self-check: way to 10.10.0.2: dev eth0 instead of dev wg0" in run.out
    assert mesh.live() == before


@pytest.mark.long
def test_the_route_to_the_mesh_itself_is_missed_and_made_again(mesh: Node, hosts: Hosts) -> None:
    before = mesh.live()
    mesh.inside("ip route del 10.10.0.0/24 dev wg0")
    items = {each["item"] for each in mesh.status()["differences"]}
    assert {"network 10.10.0.0/24", "way to 10.10.0.2"} <= items
    assert mesh.apply(hosts.document("web-1", PAIR)).word == "CONFIRMED"
    assert mesh.live() == before


THEIRS = "ip route show dev wg0 | grep -v kernel"


@pytest.fixture
def theirs(mesh: Node) -> Iterator[str]:
    """Routes of others over the tunnel, on a host that loses all of them with the last address."""
    mesh.inside(
        "systemd-run -q --unit=services -r ip route add 10.96.0.0/16 dev wg0; sleep 0.5;"
        "ip route add 10.97.0.0/16 via 10.10.0.2 proto static; ip route add 10.98.0.0/16 dev wg0 metric 7;"
        "sysctl -qw net.ipv4.conf.wg0.promote_secondaries=0 net.ipv4.conf.all.promote_secondaries=0"
    )
    routes = mesh.inside(THEIRS)
    assert len(routes.splitlines()) == 3
    yield routes
    mesh.inside("systemctl stop services; for n in 96 97 98; do ip route del 10.$n.0.0/16; done")


def test_routes_of_others_over_the_tunnel_stay(mesh: Node, hosts: Hosts, theirs: str) -> None:
    """As a unit makes them for the services of a Kubernetes; an address that changes takes none along."""
    assert mesh.status()["differences"] == []
    both: tuple[dict[str, Any], ...] = ({"public": ["tcp/8080"], "address": "10.10.0.77"}, {})
    for changes in both:
        assert mesh.apply(hosts.document("web-1", PAIR, **changes)).word == "CONFIRMED"
        assert mesh.inside(THEIRS) == theirs
        assert mesh.status()["differences"] == []


@pytest.mark.long
def test_routes_of_others_stay_after_a_rollback_too(mesh: Node, hosts: Hosts, theirs: str) -> None:
    assert mesh.agent("apply", hosts.document("web-1", PAIR, address="10.10.0.77")).word == "RECONNECT"
    wait(lambda: mesh.status()["state"] == "live", DEADLINE)
    assert mesh.inside(THEIRS) == theirs
    mesh.wait_idle()
    assert mesh.inside(THEIRS) == theirs
    mesh.inside("rm -f /run/wgmesh/outcome.json")


def _with_route(hosts: Hosts) -> str:
    return hosts.document("web-1", PAIR).replace("= 10.10.0.2/32", "= 10.10.0.2/32, 10.20.0.0/16")


@pytest.mark.long
def test_our_routes_come_and_go_with_their_peer(mesh: Node, hosts: Hosts) -> None:
    routes = "ip route show dev wg0 | grep -v kernel || true"
    assert mesh.apply(_with_route(hosts)).word == "CONFIRMED"
    assert mesh.inside(routes) == "10.20.0.0/16 proto 87 scope link"
    mesh.inside("ip route del 10.20.0.0/16")
    assert "route 10.20.0.0/16" in {each["item"] for each in mesh.status()["differences"]}
    assert mesh.apply(_with_route(hosts)).word == "CONFIRMED"
    assert mesh.apply(hosts.document("web-1", PAIR)).word == "CONFIRMED"
    assert mesh.inside(routes) == ""


@pytest.mark.long
def test_routes_that_an_agent_made_before_there_was_a_mark_are_ours_too(mesh: Node, hosts: Hosts) -> None:
    routes = "ip route show dev wg0 | grep -v kernel || true"
    assert mesh.apply(_with_route(hosts)).word == "CONFIRMED"
    mesh.inside("ip route del 10.20.0.0/16; ip route add 10.20.0.0/16 dev wg0")
    assert mesh.status()["differences"] == []
    assert mesh.agent("apply", hosts.document("web-1", PAIR)).word == "RECONNECT"
    wait(lambda: mesh.status()["state"] == "live", DEADLINE)
    assert mesh.inside(routes) == ""
    mesh.wait_idle()
    assert "10.20.0.0/16" in mesh.inside(routes), "back with the rollback"
    assert mesh.status()["differences"] == []
    mesh.inside("rm -f /run/wgmesh/outcome.json")
    assert mesh.apply(hosts.document("web-1", PAIR)).word == "CONFIRMED"
    assert mesh.inside(routes) == ""


@pytest.mark.long
def test_more_peers_are_no_more_processes(mesh: Node, hosts: Hosts) -> None:
    """A wrapper counts how often `ip` is started."""
    mesh.inside(
        "printf '#!/bin/sh\\necho x >>/run/started\\nexec /sbin/ip \"$@\"\\n' >/usr/local/sbin/ip;"
        "chmod 755 /usr/local/sbin/ip"
    )
    counts = []
    for members in (PAIR, THREE, PAIR):
        assert mesh.apply(hosts.document("web-1", members)).word in ("CONFIRMED", "UNCHANGED")
        mesh.inside("rm -f /run/started")
        assert mesh.status()["differences"] == []
        counts.append(int(mesh.inside("wc -l </run/started")))
    mesh.inside("rm /usr/local/sbin/ip")
    assert 0 < counts[0] == counts[1] < 20
