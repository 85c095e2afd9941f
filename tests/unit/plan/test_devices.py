"""What the configuration of a device needs: its addresses, the nodes that it calls, the networks behind."""

from ipaddress import ip_address, ip_network
from typing import Any

from mesh.plan import ClientPlan
from tests.unit.meshes import plan_of

MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "nodes": {
        "web-2": {"address": "10.10.0.2", "groups": ["web"], "formerly": ["old-2"]},
        "web-10": {"address": "10.10.0.10", "groups": ["web"]},
        "web-1": {"address": "10.10.0.1", "groups": ["web"], "routes": ["10.20.0.0/16", "10.30.0.0/16"]},
        "web-3": {"address": "10.10.0.3", "groups": ["web"], "enabled": False},
    },
    "clients": {
        "tablet": {"address": "10.10.0.201", "to": ["web-2"], "enabled": False},
        "laptop": {"address": "10.10.0.200", "to": ["web", "web-2"]},
    },
}


def _client(name: str, **more: Any) -> ClientPlan:
    return plan_of({**MESH, **more}).clients[name]


def test_a_device_calls_every_enabled_node_that_it_has_a_tunnel_to_in_the_order_of_their_addresses() -> None:
    peers = _client("laptop").peers
    assert [peer.name for peer in peers] == ["web-1", "web-2", "web-10"]
    assert [peer.oldest_name for peer in peers] == ["web-1", "old-2", "web-10"]
    assert [peer.addresses for peer in peers] == [(ip_address(f"10.10.0.{number}"),) for number in (1, 2, 10)]
    assert {(peer.keepalive, peer.mtu, peer.preshared_epoch, peer.calls) for peer in peers} == {
        (25, 1280, 1, False)
    }


def test_a_device_sends_to_the_networks_behind_a_node_too() -> None:
    first, second, _ = _client("laptop").peers
    networks = (ip_network("10.20.0.0/16"), ip_network("10.30.0.0/16"))
    assert (first.routes, second.routes) == (networks, ())
    assert first.allowed_ips == (ip_network("10.10.0.1/32"), *networks)


def test_a_device_has_the_mtu_that_fits_everywhere_and_is_enabled_or_not() -> None:
    laptop, tablet = _client("laptop"), _client("tablet")
    assert (laptop.mtu, laptop.enabled, tablet.mtu, tablet.enabled) == (1280, True, 1280, False)
    assert (laptop.public_key, laptop.oldest_name) == (None, "client:laptop")
    assert list(plan_of(MESH).clients) == ["laptop", "tablet"]


def test_a_device_has_an_address_of_each_family() -> None:
    laptop = _client("laptop", cidr6="fd1a:2b3c:4d5e::/64")
    assert laptop.addresses == (ip_address("10.10.0.200"), ip_address("fd1a:2b3c:4d5e::c8"))
    assert laptop.peers[0].addresses == (ip_address("10.10.0.1"), ip_address("fd1a:2b3c:4d5e::1"))
    assert _client("laptop").addresses == (ip_address("10.10.0.200"),)


def test_a_node_meets_a_device_with_its_own_mtu_and_never_keeps_the_way_open() -> None:
    plan = plan_of(MESH)
    node = plan.nodes["web-2"]
    (peer,) = [peer for peer in node.peers if peer.calls]
    assert (peer.name, peer.oldest_name, peer.keepalive, peer.preshared_epoch, peer.routes) == (
        "laptop", "client:laptop", 0, 1, ()
    )  # fmt: skip
    assert peer.mtu == node.overlay.mtu
    assert [peer.name for peer in node.peers] == ["web-1", "web-10", "laptop"]
    assert not any(peer.calls for peer in plan.nodes["web-3"].peers)
