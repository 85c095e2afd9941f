"""Peers with an MTU of their own: their routes through changes, drift, rollback, reboot and `leave`."""

import re
from collections.abc import Mapping

import pytest

from lab.testing import wait
from tests.host.nodes import Hosts, Node
from tests.host.trials import PAIR, THREE, go_live

pytestmark = pytest.mark.hosts

NARROW = {"web-2": 1400}
ROUTES = "10.10.0.2 mtu 1320"


def _routes(node: Node) -> str:
    """The routes of single peers with their MTU, and the MTU of the interface."""
    shown = node.inside("ip route show dev wg0 proto 87")
    lines = [re.sub(r"^(\S+) .*?(mtu \d+)?\s*$", r"\1 \2", line.strip()) for line in shown.splitlines()]
    return "; ".join([*lines, node.inside("cat /sys/class/net/wg0/mtu")])


@pytest.fixture
def mesh(hosts: Hosts, web_1: Node, web_2: Node) -> Node:
    """A mesh of three, of which web-2 has a narrow underlay."""
    for node in (web_1, web_2):
        node.bring(hosts.document(node.name, THREE, underlays=NARROW))
    return web_1


def _full(node: Node, address: str, size: int) -> bool:
    """Whether a packet of this size goes there and back in one piece."""
    ping = f"ping -n -q -M do -c 1 -W 5 -s {size - 28} {address} >/dev/null && echo yes"
    return node.inside(ping, check=False) == "yes"


def test_a_narrow_peer_has_its_own_route_and_costs_the_others_nothing(mesh: Node, web_2: Node) -> None:
    assert _routes(mesh) == f"{ROUTES}; 1420"
    assert _routes(web_2) == "1320"
    assert "mtu 1320" in mesh.inside("ip route get 10.10.0.2")
    assert "mtu" not in mesh.inside("ip route get 10.10.0.3")
    assert _full(mesh, "10.10.0.2", 1320)
    assert not _full(mesh, "10.10.0.2", 1321)
    assert mesh.status()["differences"] == []


@pytest.mark.long
@pytest.mark.parametrize("times", [1, 5])
def test_no_full_size_packet_is_lost_while_mtus_change(
    mesh: Node, hosts: Hosts, web_2: Node, times: int
) -> None:
    steps: list[Mapping[str, int]] = [{}, {"web-2": 1450}, {"web-1": 1400}, {"web-2": 9000, "web-1": 9000}]
    size = ["-M", "do", "-s", "1292"]  # 1320 bytes in one piece: what fits all the time
    with (
        mesh.pinging("10.10.0.2", 0.02, options=size) as pings,
        web_2.pinging("10.10.0.1", 0.02, options=size) as back,
    ):
        for underlays in (*steps, NARROW) * times:
            for node in (mesh, web_2):
                run = node.apply(hosts.document(node.name, THREE, underlays=underlays))
                assert run.word == "CONFIRMED", run.out
    assert len(pings.answered) > 50
    assert (pings.lost(), back.lost()) == ([], [])
    assert _routes(mesh) == f"{ROUTES}; 1420"


def test_routes_that_were_changed_by_hand_are_found_and_repaired(mesh: Node, hosts: Hosts) -> None:
    document = hosts.document("web-1", THREE, underlays=NARROW)
    mesh.inside("ip route del 10.10.0.2/32 dev wg0")
    (gone,) = mesh.status()["differences"]
    assert gone == {"item": "route 10.10.0.2/32 mtu 1320", "live": "absent", "wanted": "present"}
    mesh.inside("ip route add 10.10.0.2/32 dev wg0 proto 87 mtu 1400")
    (other,) = mesh.status()["differences"]
    assert other == {"item": "route 10.10.0.2/32: MTU", "live": "1400", "wanted": "1320"}
    assert mesh.apply(document).word == "CONFIRMED"
    assert _routes(mesh) == f"{ROUTES}; 1420"
    mesh.inside("ip route replace 10.10.0.2/32 dev wg0 proto 87; ip link set wg0 mtu 1300")
    assert mesh.inside("systemctl reload wg-quick@wg0 && echo yes") == "yes"
    assert _routes(mesh) == f"{ROUTES}; 1420"


@pytest.mark.long
def test_a_trial_that_nobody_confirms_leaves_the_routes_as_they_were(mesh: Node, hosts: Hosts) -> None:
    before = mesh.live()
    go_live(mesh, hosts.document("web-1", THREE, underlays={"web-1": 1450, "web-3": 1300}))
    assert _routes(mesh) == "10.10.0.3 mtu 1220; 1370"
    mesh.wait_idle()
    assert mesh.live() == before
    mesh.settle()
    mesh.bring(hosts.document("web-1", PAIR))
    before = mesh.live()
    go_live(mesh, hosts.document("web-1", PAIR, underlays={"web-2": 1280}))
    assert _routes(mesh) == "10.10.0.2 mtu 1200; 1280"
    mesh.wait_idle()
    assert mesh.live() == before


@pytest.mark.long
def test_a_restart_and_a_reboot_bring_the_same_and_nothing_is_left_without_the_tunnel(mesh: Node) -> None:
    mesh.inside("systemctl restart wg-quick@wg0")
    assert _routes(mesh) == f"{ROUTES}; 1420"
    mesh.reboot()
    wait(lambda: mesh.inside("systemctl is-active wg-quick@wg0", check=False) == "active", 60)
    assert _routes(mesh) == f"{ROUTES}; 1420"
    mesh.inside("systemctl stop wg-quick@wg0")
    assert "1320" not in mesh.inside("ip route show table all")
    mesh.inside("systemctl start wg-quick@wg0")
