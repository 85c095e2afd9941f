"""WireGuard moves to another UDP port, one node after the other, while packets go both ways."""

import pytest

from mesh.render import Moving
from tests.host.nodes import Hosts, Node

pytestmark = pytest.mark.hosts

MEMBERS = ("web-1", "web-2")
OLD, NEW = 51820, 51821


def _move(hosts: Hosts, node: Node, *, endpoints: int, former: tuple[int, ...]) -> None:
    document = hosts.document(node.name, MEMBERS, mesh_port=NEW, moving=Moving(ports=former))
    for peer in MEMBERS:
        document = document.replace(
            f"Endpoint = {hosts.address(peer)}:{NEW}", f"Endpoint = {hosts.address(peer)}:{endpoints}"
        )
    run = node.apply(document)
    assert run.word == "CONFIRMED", run.out


@pytest.mark.long
def test_no_pair_is_cut_for_longer_than_a_moment(hosts: Hosts, web_1: Node, web_2: Node) -> None:
    for node in (web_1, web_2):
        node.wait_idle()
        assert node.apply(hosts.document(node.name, MEMBERS)).word in ("CONFIRMED", "UNCHANGED")
    with web_1.pinging("10.10.0.2", 0.1) as there, web_2.pinging("10.10.0.1", 0.1) as back:
        for endpoints, former in ((OLD, (OLD,)), (NEW, (OLD,)), (NEW, ())):
            for node in (web_1, web_2):
                _move(hosts, node, endpoints=endpoints, former=former)
                other = web_2 if node is web_1 else web_1
                assert "1 received" in node.inside(f"ping -c 1 -W 3 10.10.0.{MEMBERS.index(other.name) + 1}")
    for pings in (there, back):
        assert len(pings.lost()) < 20, pings.lost()  # two seconds in all of six changes
    assert web_1.inside("wg show wg0 listen-port") == str(NEW)
    for node in (web_1, web_2):
        assert node.apply(hosts.document(node.name, MEMBERS)).word == "CONFIRMED"
