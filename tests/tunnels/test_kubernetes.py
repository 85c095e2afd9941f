"""A Kubernetes network over the mesh, as flannel makes one: docs/kubernetes.md says what this shows."""

from collections.abc import Iterator
from typing import Any

import pytest

from mesh.host.files.document import FIREWALL, parse_document
from tests.spaces import Space
from tests.tunnels.agent import NEEDS_PING, PING, PROGRAM, bring, unbroken
from tests.tunnels.world import Node, World, until, world

pytestmark = NEEDS_PING

INNER = 1370  # wg0's 1420 less 50 of VXLAN: 20 IPv4, 8 UDP, 8 VXLAN, 14 Ethernet (RFC 7348)
FULL = INNER - 28  # what a ping of this size carries: 20 IPv4, 8 ICMP
INNER6 = 1350  # the same over IPv6, with 40 for 20
VXLAN = [{"from": ["all"], "to": ["all"], "allow": ["udp/8472"]}]
TRUSTED = ["cni0", "flannel.1"]


def _mesh(*, policy: list[dict[str, list[str]]], trusted: list[str], **own: Any) -> dict[str, Any]:
    nodes = {
        f"k8s-{number}": {"address": f"10.10.0.{number}", "trustedInterfaces": trusted, **own}
        for number in (1, 2)
    }
    return {"cidr": "10.10.0.0/24", "nodes": nodes, "policy": policy}


MESH = _mesh(policy=VXLAN, trusted=TRUSTED)


def _load(place: World, raw: dict[str, Any]) -> None:
    """Replace the tables of both nodes, as the agent does."""
    place.replan(raw)
    for name, (text, _) in place.documents().items():
        place.nodes[name].run("nft", "-f", "-", stdin=parse_document(text.encode()).files[FIREWALL])


def _make(node: Node, pod: Space, own: int, other: int) -> None:
    """What Kubernetes makes on a node whose pods have 10.244.N.0/24: flannel (vxlan), and a bridge."""
    mac = "02:00:00:00:01:0"
    node.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    vxlan = f"type vxlan id 1 dev wg0 local 10.10.0.{own} dstport 8472 nolearning"
    for line in (
        f"link add flannel.1 address {mac}{own} mtu {INNER} {vxlan}",
        f"address add 10.244.{own}.0/32 dev flannel.1",
        "link set flannel.1 up",
        f"link add cni0 mtu {INNER} type bridge",
        f"address add 10.244.{own}.1/24 dev cni0",
        "link set cni0 up",
        f"link add pod0 mtu {INNER} type veth peer name eth0 mtu {INNER} netns {pod.pid}",
        "link set pod0 master cni0 up",
        f"route add 10.244.{other}.0/24 via 10.244.{other}.0 dev flannel.1 onlink",
        f"neigh add 10.244.{other}.0 lladdr {mac}{other} dev flannel.1 nud permanent",
    ):
        node.run("ip", *line.split())
    node.run("bridge", "fdb", "append", f"{mac}{other}", "dev", "flannel.1", "dst", f"10.10.0.{other}")
    pod.run("ip", "address", "add", f"10.244.{own}.2/24", "dev", "eth0")
    pod.run("ip", "link", "set", "eth0", "up")
    pod.run("ip", "route", "add", "default", "via", f"10.244.{own}.1")


@pytest.fixture(scope="module")
def built() -> Iterator[tuple[World, Space, Space]]:
    pods = Space(), Space()
    with world(MESH, PROGRAM) as built:
        for number, pod in enumerate(pods, 1):
            _make(built.nodes[f"k8s-{number}"], pod, number, 3 - number)
        yield built, *pods
    for pod in pods:
        pod.end()


@pytest.fixture
def cluster(built: tuple[World, Space, Space]) -> tuple[World, Space, Space]:
    place, first, _ = built
    _load(place, MESH)
    until(lambda: _pings(first, "10.244.2.2"))
    return built


def _pings(pod: Space, address: str, *, size: int = 56) -> bool:
    whole = ("-s", str(size), "-M", "do")
    return pod.works(PING, "-n", "-c", "1", "-W", "1", *whole, address)


def test_pods_lose_nothing_while_the_firewall_is_replaced(cluster: tuple[World, Space, Space]) -> None:
    place, first, second = cluster
    others = ((first, "10.244.2.2"), (second, "10.244.1.2"))
    pings = [
        pod.start(PING, "-n", "-i", "0.005", "-s", str(FULL), "-M", "do", address) for pod, address in others
    ]
    for port in range(8001, 8011):
        _load(place, _mesh(policy=VXLAN, trusted=TRUSTED, public=[f"tcp/{port}"]))
    for ping in pings:
        assert unbroken(ping, at_least=50)
    table = place.nodes["k8s-1"].run("nft", "list", "chain", "inet", "wgmesh", "forward")
    assert "type filter hook forward priority filter; policy accept;" in table


def test_pods_have_packets_of_the_size_less_vxlan(cluster: tuple[World, Space, Space]) -> None:
    _, first, _ = cluster
    assert _pings(first, "10.244.2.2", size=FULL)
    assert not _pings(first, "10.244.2.2", size=FULL + 1)


def test_pods_reach_services_of_hosts_by_trust_alone(cluster: tuple[World, Space, Space]) -> None:
    place, first, _ = cluster
    assert first.answers_on("10.244.1.1", 10250), "of their own host, through cni0"
    assert first.answers_on("10.244.2.1", 10250), "of another one, through flannel.1"
    _load(place, _mesh(policy=VXLAN, trusted=[]))
    assert not first.answers_on("10.244.1.1", 10250)
    assert not first.answers_on("10.244.2.1", 10250)
    assert first.answers_on("10.244.2.2", 80), "pods still reach pods"


def test_the_policy_decides_which_nodes_exchange_vxlan(cluster: tuple[World, Space, Space]) -> None:
    place, first, _ = cluster
    _load(place, _mesh(policy=[], trusted=TRUSTED))
    for node in place.nodes.values():  # as connections that are open stay open
        node.run("ip", "link", "set", "flannel.1", "down")
    place.forget()
    for node, other in ((place.nodes["k8s-1"], 2), (place.nodes["k8s-2"], 1)):
        node.run("ip", "link", "set", "flannel.1", "up")
        route = f"10.244.{other}.0/24 via 10.244.{other}.0 dev flannel.1 onlink"
        node.run("ip", "route", "replace", *route.split())
        neighbour = f"10.244.{other}.0 lladdr 02:00:00:00:01:0{other} dev flannel.1 nud permanent"
        node.run("ip", "neigh", "replace", *neighbour.split())
    assert not _pings(first, "10.244.2.2")
    _load(place, MESH)
    assert _pings(first, "10.244.2.2")


def test_vxlan_goes_with_the_interface_below(cluster: tuple[World, Space, Space]) -> None:
    """docs/kubernetes.md warns of this: `up` changes wg0 in place, a restart by hand deletes it."""
    place, *_ = cluster
    node = place.nodes["k8s-2"]
    for line in (
        "link add below0 type veth peer name below1",
        "link add upon0 type vxlan id 2 dev below0 dstport 8473 nolearning",
        "link del below0",
    ):
        node.run("ip", *line.split())
    assert not node.works("ip", "link", "show", "upon0")


def _dual(*, policy: list[dict[str, list[str]]], trusted: list[str], **own: Any) -> dict[str, Any]:
    return {**_mesh(policy=policy, trusted=trusted, **own), "cidr6": "fd1a:2b3c:4d5e::/64"}


def _make6(node: Node, pod: Space, own: int, other: int) -> None:
    """What a cluster of both families makes beside: an interface of VXLAN over IPv6, fd20:244:N::/64."""
    mac = "02:00:00:00:06:0"
    node.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    vxlan = f"type vxlan id 1 dev wg0 local fd1a:2b3c:4d5e::{own} dstport 8472 nolearning"
    for line in (
        f"link add flannel-v6.1 address {mac}{own} mtu {INNER6} {vxlan}",
        f"address add fd20:244:{own}::/128 dev flannel-v6.1 nodad",
        "link set flannel-v6.1 up",
        f"address add fd20:244:{own}::1/64 dev cni0 nodad",
        f"route add fd20:244:{other}::/64 via fd20:244:{other}:: dev flannel-v6.1 onlink",
        f"neigh add fd20:244:{other}:: lladdr {mac}{other} dev flannel-v6.1 nud permanent",
    ):
        node.run("ip", *line.split())
    forward = f"{mac}{other} dev flannel-v6.1 dst fd1a:2b3c:4d5e::{other}"
    node.run("bridge", "fdb", "append", *forward.split())
    _pod6(pod, own)
    pod.run("ip", "link", "set", "eth0", "mtu", str(INNER6))


def _pod6(pod: Space, own: int) -> None:
    pod.run("ip", "address", "add", f"fd20:244:{own}::2/64", "dev", "eth0", "nodad")
    pod.run("ip", "-6", "route", "add", "default", "via", f"fd20:244:{own}::1")


def _pings6(pod: Space, address: str, *, size: int = INNER6) -> bool:
    """Whether a packet of this size passes whole: 40 bytes are of IPv6, 8 of ICMP."""
    return _pings(pod, address, size=size - 48)


def test_pods_have_ipv6_over_vxlan_in_a_mesh_with_ipv6() -> None:
    trusted = ["cni0", "flannel*"]
    pods = first, second = Space(), Space()
    with world(MESH, PROGRAM) as place:
        bring(place, _dual(policy=VXLAN, trusted=trusted))
        for number, pod in enumerate(pods, 1):
            _make(place.nodes[f"k8s-{number}"], pod, number, 3 - number)
            _make6(place.nodes[f"k8s-{number}"], pod, number, 3 - number)
        until(lambda: _pings6(first, "fd20:244:2::2"))
        assert not _pings6(first, "fd20:244:2::2", size=INNER6 + 1)
        assert _pings(second, "10.244.1.2")
        assert first.answers_on("fd20:244:2::1", 10250), "a service of another host"
        _load(place, _dual(policy=VXLAN, trusted=[]))
        assert not first.answers_on("fd20:244:2::1", 10250)
        assert first.answers_on("fd20:244:2::2", 80), "pods still reach pods"
        _load(place, _dual(policy=[], trusted=trusted))
        place.forget()
        assert not _pings6(first, "fd20:244:2::2")
        _load(place, _dual(policy=VXLAN, trusted=trusted))
        assert _pings6(first, "fd20:244:2::2")
    for pod in pods:
        pod.end()


def _routed(policy: list[dict[str, list[str]]]) -> dict[str, Any]:
    raw = _dual(policy=policy, trusted=["cni0"])
    for number, node in enumerate(raw["nodes"].values(), 1):
        node["routes"] = [f"10.244.{number}.0/24", f"fd20:244:{number}::/64"]
    return raw


def test_pods_have_both_families_by_routes_of_the_mesh() -> None:
    pods = first, second = Space(), Space()
    both = [{"from": [net], "to": [net], "allow": ["all"]} for net in ("10.244.0.0/16", "fd20:244::/32")]
    with world(MESH, PROGRAM) as place:
        for number, (node, pod) in enumerate(zip(place.nodes.values(), pods, strict=True), 1):
            for line in (
                "link add cni0 type bridge",
                f"address add 10.244.{number}.1/24 dev cni0",
                f"address add fd20:244:{number}::1/64 dev cni0 nodad",
                "link set cni0 up",
                f"link add pod0 type veth peer name eth0 mtu 1420 netns {pod.pid}",
                "link set pod0 master cni0 up",
            ):
                node.run("ip", *line.split())
            pod.run("ip", "address", "add", f"10.244.{number}.2/24", "dev", "eth0")
            pod.run("ip", "link", "set", "eth0", "up")
            pod.run("ip", "route", "add", "default", "via", f"10.244.{number}.1")
            _pod6(pod, number)
        bring(place, _routed(both))
        until(lambda: _pings6(first, "fd20:244:2::2", size=1420))
        assert _pings(second, "10.244.1.2", size=1420 - 28)
        assert first.answers_on("fd20:244:2::2", 80)
        assert second.answers_on("10.244.1.2", 80)
        bring(place, _routed(both[:1]))
        place.forget()
        assert not first.answers_on("fd20:244:2::2", 80)
        assert first.answers_on("10.244.2.2", 80)
    for pod in pods:
        pod.end()
