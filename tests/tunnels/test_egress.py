"""IPv4 for a node without IPv4: over another node to a host of the internet, by real tunnels.

The tunnels themselves run over IPv4 here, by a route of their own: the node without IPv4 has no default
route.
"""

import contextlib
import copy
import sys
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import pytest

from mesh.host.files.document import FIREWALL
from mesh.host.files.generation import as_generation
from mesh.host.live.device import wanted_device, wanted_link
from mesh.host.places import Places
from mesh.host.trial.undo import Snapshot
from mesh.host.trial.way_back import plain_commands
from mesh.host.tunnel import WG0
from tests.spaces import Space
from tests.tunnels.agent import CONF, NEEDS_PING, PING, PROGRAM, bring, converge, unbroken
from tests.tunnels.world import Node, World, until, world

pytestmark = NEEDS_PING

INTERNET, OTHER, GATEWAY = "203.0.113.9", "203.0.113.99", "192.0.2.254"
MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "nodes": {
        "hub": {"address": "10.10.0.1", "publicIpv6": True},
        "web": {"address": "10.10.0.2", "publicIpv6": True},
        "six": {
            "address": "10.10.0.3",
            "publicIpv4": False,
            "publicIpv6": True,
            "egress": "hub",
            "trustedInterfaces": ["lan0"],
        },
    },
}
DEFAULT = "default dev wg0 proto 87 scope link metric 8700"
# What the agent says of the firewall.
_COMPARE: Final = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from mesh.host.live.firewall import check_firewall, firewall_differences, load_table, restore_text
from mesh.host.places import Places
text = sys.stdin.read()
check_firewall(text, where="firewall.nft")
load_table(restore_text())
print(*firewall_differences(Places(Path(sys.argv[2])), text), sep="\\n", end="")
"""
# Packets that the node between passes on with an address of the mesh.
_COUNT: Final = """
table ip count {
    chain stray {
        type filter hook prerouting priority raw;
        iifname "to-hub" ip saddr 10.10.0.0/24 counter drop
    }
}
"""
# A reset of a TCP connection that there is not.
_STRAY: Final = """
import socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
    raw.sendto(struct.pack("!HHIIBBHHH", 4000, 80, 1, 1, 5 << 4, 4, 0, 0, 0), (sys.argv[1], 0))
"""


def _mesh(**six: Any) -> dict[str, Any]:
    """The mesh, with other keys of the node without IPv4; None takes one out."""
    raw = copy.deepcopy(MESH)
    node = {**raw["nodes"]["six"], **six}
    raw["nodes"]["six"] = {key: value for key, value in node.items() if value is not None}
    return raw


@pytest.fixture(scope="module")
def built() -> Iterator[World]:
    with world(MESH, PROGRAM) as built:
        yield built


@pytest.fixture(scope="module")
def internet(built: World) -> Iterator[Space]:
    """A host of the internet, which has a route to the mesh's addresses over the node that gives egress."""
    host = Space()
    built.connect("internet", host, INTERNET)
    hub = built.nodes["hub"]
    built.router.run("ip", "route", "add", "10.10.0.0/24", "via", hub.outer, "dev", "to-hub", "onlink")
    with host.listening(80):
        yield host
    host.end()


@pytest.fixture
def place(built: World, internet: Space) -> World:
    six = built.nodes["six"]
    six.works("ip", "route", "del", "default", "dev", "eth0")
    six.run("ip", "route", "replace", "192.0.2.0/24", "via", GATEWAY, "dev", "eth0", "onlink")
    bring(built, MESH)
    until(lambda: all(one.pings(other) for one, other in permutations(built.nodes.values(), 2)))
    return built


def _pings(space: Space, address: str) -> bool:
    return space.works(PING, "-n", "-c", "1", "-W", "1", address)


@contextlib.contextmanager
def _having(node: Node, *addresses: str) -> Iterator[None]:
    """Have a node own these addresses, too."""
    for address in addresses:
        node.run("ip", "address", "add", f"{address}/32", "dev", "lo")
    try:
        yield
    finally:
        for address in addresses:
            node.run("ip", "address", "del", f"{address}/32", "dev", "lo")


def _defaults(node: Node) -> list[str]:
    return [line.strip() for line in node.run("ip", "-4", "route", "show", "default").splitlines()]


def test_the_internet_is_reached_and_sees_the_address_of_the_node_between(place: World) -> None:
    hub, six = place.nodes["hub"], place.nodes["six"]
    assert _defaults(six) == [DEFAULT]
    assert _pings(six, INTERNET)
    assert six.seen_as(INTERNET, 80) == hub.outer


def test_nobody_outside_begins_a_connection(place: World, internet: Space) -> None:
    """Neither a host of the internet, nor the node between in the name of one, nor of a node that is not."""
    hub, six = place.nodes["hub"], place.nodes["six"]
    with six.listening(81), _having(hub, OTHER, "10.10.0.77"):
        assert hub.seen_as(six.inner, 81) == hub.inner, "members reach each other, as without a policy"
        assert internet.seen_as(six.inner, 81) is None
        assert hub.seen_as(six.inner, 81, OTHER) is None
        assert hub.seen_as(six.inner, 81, "10.10.0.77") is None
        rules = "".join(
            line
            for line in six.document.files[FIREWALL].splitlines(keepends=True)
            if "egress: only answers" not in line and "no address of a peer" not in line
        )
        six.run("nft", "-f", "-", stdin=rules)
        assert hub.seen_as(six.inner, 81, OTHER) == OTHER, "without the rules it would have come through"
        assert hub.seen_as(six.inner, 81, "10.10.0.77") == "10.10.0.77"


def test_who_has_no_egress_does_not_get_out(place: World) -> None:
    """Also a node that sends everything there by itself."""
    hub, web = place.nodes["hub"], place.nodes["web"]
    keys = {peer.endpoint: key for key, peer in web.device().peers.items()}
    allowed = f"{hub.inner}/32,{INTERNET}/32"
    web.run("wg", "set", "wg0", "peer", keys[f"{hub.outer}:51820"], "allowed-ips", allowed)
    web.run("ip", "route", "add", f"{INTERNET}/32", "dev", "wg0")
    # the answers are to come in, if there are any
    web.run("nft", "flush", "chain", "inet", "wgmesh", "antispoof")
    try:
        assert web.pings(hub)
        assert not _pings(web, INTERNET)
        hub.run("nft", "add", "element", "inet", "wgmesh", "egress", f"{{ {web.inner} }}")
        assert _pings(web, INTERNET), "without the set it would have got out"
    finally:
        web.run("ip", "route", "del", f"{INTERNET}/32", "dev", "wg0")


def test_private_networks_of_the_node_between_stay_its_own(place: World) -> None:
    hub, six = place.nodes["hub"], place.nodes["six"]
    lan = hub.lan("192.168.7.1/24", "192.168.7.5/24")
    try:
        assert _pings(hub, "192.168.7.5")
        assert not _pings(six, "192.168.7.5")
        rules = hub.document.files[FIREWALL].replace("192.168.0.0/16", "198.18.0.0/15")
        hub.run("nft", "-f", "-", stdin=rules)
        assert _pings(six, "192.168.7.5"), "without the rule it would have come through"
    finally:
        lan.end()
        hub.works("ip", "link", "del", "lan0")


@pytest.mark.parametrize("key", ["routes", "groups"])
def test_no_packet_leaves_with_an_address_of_the_mesh(place: World, key: str) -> None:
    """Not even one that belongs to no connection, which Linux does not translate.

    A node with routes forwards for other reasons, too.
    """
    hub, six, router = place.nodes["hub"], place.nodes["six"], place.router
    raw = copy.deepcopy(MESH)
    raw["nodes"]["hub"][key] = {"routes": ["10.20.0.0/16"], "groups": ["a"]}[key]
    bring(place, raw)
    router.run("nft", "-f", "-", stdin=_COUNT)
    try:
        six.run(sys.executable, "-S", "-c", _STRAY, INTERNET)
        assert _pings(six, INTERNET)
        assert "packets 0 " in router.run("nft", "list", "table", "ip", "count")
        rules = hub.document.files[FIREWALL].replace("ct state new ip saddr @egress", "ip saddr @egress")
        hub.run("nft", "-f", "-", stdin=rules)
        six.run(sys.executable, "-S", "-c", _STRAY, INTERNET)
        until(lambda: "packets 1 " in router.run("nft", "list", "table", "ip", "count"))
    finally:
        router.run("nft", "delete", "table", "ip", "count")


def test_networks_behind_the_node_between_see_the_node_itself(place: World) -> None:
    """They are reached as before: addresses are not translated."""
    raw = copy.deepcopy(MESH)
    raw["nodes"]["hub"]["routes"] = ["10.20.0.0/16"]
    hub, six = place.nodes["hub"], place.nodes["six"]
    lan = hub.lan("10.20.0.1/16", "10.20.0.5/16")
    try:
        bring(place, raw)
        with lan.listening(80):
            assert six.seen_as("10.20.0.5", 80) == six.inner
        assert six.seen_as(INTERNET, 80) == hub.outer
    finally:
        lan.end()
        hub.works("ip", "link", "del", "lan0")


def test_containers_of_the_node_get_out_as_well(place: World) -> None:
    """Those whose packets the host translates, as Docker does; nobody outside begins with them."""
    hub, six = place.nodes["hub"], place.nodes["six"]
    container = six.lan("172.17.0.1/16", "172.17.0.2/16")
    six.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    six.run(
        "nft",
        "add table ip docker; add chain ip docker out { type nat hook postrouting priority srcnat; }; "
        "add rule ip docker out ip saddr 172.17.0.0/16 oifname wg0 masquerade; "
        "add chain ip docker in { type nat hook prerouting priority dstnat; }; "
        "add rule ip docker in tcp dport 8080 dnat to 172.17.0.2:80",
    )
    try:
        assert container.seen_as(INTERNET, 80) == hub.outer
        with container.listening(80), _having(hub, OTHER):
            assert hub.seen_as(six.inner, 8080) == hub.inner
            assert hub.seen_as(six.inner, 8080, OTHER) is None
    finally:
        six.run("nft", "delete table ip docker")
        six.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
        container.end()
        six.works("ip", "link", "del", "lan0")


def test_nothing_is_lost_while_files_change(place: World) -> None:
    six = place.nodes["six"]
    until(lambda: _pings(six, INTERNET))
    ping = six.start(PING, "-n", "-i", "0.01", INTERNET)
    for groups in (["a"], ["b"]):
        bring(place, _mesh(groups=groups, public=["tcp/80"]))
    bring(place, MESH)
    assert unbroken(ping)


def test_egress_is_taken_away_again(place: World) -> None:
    hub, six = place.nodes["hub"], place.nodes["six"]
    bring(place, _mesh(egress=None))
    assert _defaults(six) == []
    assert not _pings(six, INTERNET)
    assert "type nat" not in hub.run("nft", "list", "table", "inet", "wgmesh")
    assert six.pings(hub)


def test_a_default_route_of_the_host_wins_and_stays(place: World) -> None:
    six = place.nodes["six"]
    bring(place, _mesh(egress=None))
    six.run("ip", "route", "add", "default", "via", GATEWAY, "dev", "eth0", "onlink")
    own = _defaults(six)
    bring(place, MESH)
    assert _defaults(six) == [*own, DEFAULT]
    assert six.seen_as(INTERNET, 80) == six.outer
    bring(place, _mesh(egress=None))
    assert _defaults(six) == own


def test_plain_commands_bring_the_default_route_back_and_take_it_away(place: World, tmp_path: Path) -> None:
    """What undoes a trial where the agent cannot."""
    six, places = place.nodes["six"], Places(tmp_path)
    own = ["ip", "route", "replace", "default", "via", GATEWAY, "dev", "eth0", "metric", "50", "onlink"]
    six.run(*own)
    try:
        for raw in (_mesh(egress=None), MESH):
            before, defaults = six.document, _defaults(six)
            bring(place, raw)
            assert _defaults(six) != defaults
            link = wanted_link(before.wg)
            snapshot = Snapshot((wanted_device(before.wg), link), "", None, {})
            lines = plain_commands(places, WG0, as_generation(places, six.document), snapshot)
            script = [line for line in lines if line.startswith("quick ip ")]
            six.run("sh", "-c", "\n".join(['quick() { "$@"; }', *script, "true"]))
            assert _defaults(six) == defaults
            converge(six, six.document.files[CONF])
    finally:
        six.run("ip", "route", "del", "default", "dev", "eth0")


@pytest.mark.parametrize("name", ["hub", "six"])
def test_the_agent_finds_nothing_changed_and_restores_what_it_found(
    place: World, tmp_path: Path, name: str
) -> None:
    node = place.nodes[name]
    text = node.document.files[FIREWALL]
    argv = ("-c", _COMPARE, str(Path(__file__).parents[2]), str(tmp_path))
    assert node.run(sys.executable, *argv, stdin=text) == ""
    line = next(line for line in text.splitlines() if "masquerade" in line or "egress: only" in line)
    assert "egress" in node.run(sys.executable, *argv, stdin=text.replace(f"{line}\n", "", 1))
