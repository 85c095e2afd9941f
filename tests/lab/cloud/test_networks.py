"""Private networks, subnets, and servers in them. What hosts see of it, the tests with hosts show."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hcloud.networks import BoundNetwork, Network, NetworkRoute, NetworkSubnet
from hcloud.servers import BoundServer

from tests.lab.cloud.world import LabCloud, refused, unique


def subnet(ip_range: str | None, zone: str = "eu-central", kind: str = "cloud") -> NetworkSubnet:
    return NetworkSubnet(ip_range=ip_range, type=kind, network_zone=zone)


def network(cloud: LabCloud, ip_range: str = "10.0.0.0/16", *subnets: str) -> BoundNetwork:
    return cloud.client.networks.create(
        name=unique("net"), ip_range=ip_range, subnets=[subnet(each) for each in subnets]
    )


def nets(server: BoundServer) -> list[tuple[int, str, list[str]]]:
    server.reload()
    return [(net.network.id, net.ip, net.alias_ips) for net in server.private_net]


def test_the_life_of_a_network(cloud: LabCloud) -> None:
    client = cloud.client
    made = client.networks.create(name="inner", ip_range="10.0.0.0/16", labels={"a": "b"})
    assert (made.name, made.ip_range, made.labels) == ("inner", "10.0.0.0/16", {"a": "b"})
    assert (made.subnets, made.routes, made.servers) == ([], [], [])
    assert made.protection == {"delete": False}
    assert made.expose_routes_to_vswitch is False
    refused("uniqueness_error", lambda: client.networks.create(name="inner", ip_range="10.1.0.0/16"))
    changed = made.update(name="other", labels={}, expose_routes_to_vswitch=True)
    assert (changed.name, changed.labels, changed.expose_routes_to_vswitch) == ("other", {}, True)
    made.change_protection(delete=True).wait_until_finished()
    refused("protected", made.delete)
    made.change_protection(delete=False).wait_until_finished()
    made.delete()
    refused("not_found", lambda: client.networks.get_by_id(made.id))


@pytest.mark.parametrize(
    "text", ["10.0.0.0/25", "10.0.0.1/16", "8.8.0.0/16", "fd00::/64", "x", "172.0.0.0/8"]
)
def test_a_network_is_a_private_range(cloud: LabCloud, text: str) -> None:
    error = refused("invalid_input", lambda: cloud.client.networks.create(name=unique("n"), ip_range=text))
    assert error.details["fields"][0]["name"] == "ip_range"


def test_subnets(cloud: LabCloud) -> None:
    net = network(cloud, "10.0.0.0/16", "10.0.1.0/24")
    net.add_subnet(subnet("10.0.8.0/22")).wait_until_finished()
    net.add_subnet(subnet(None)).wait_until_finished()  # the first /24 that is free
    net.reload()
    assert [each.ip_range for each in net.subnets] == ["10.0.1.0/24", "10.0.8.0/22", "10.0.0.0/24"]
    assert {each.gateway for each in net.subnets} == {"10.0.0.1"}
    for wrong in ("10.0.1.128/25", "10.1.0.0/24", "10.0.20.0/31", "10.0.0.0/8"):
        refused("invalid_input", lambda wrong=wrong: net.add_subnet(subnet(wrong)))  # type: ignore[misc]
    refused("invalid_input", lambda: net.add_subnet(subnet("10.0.30.0/24", zone="mars")))
    refused("unsupported_error", lambda: net.add_subnet(subnet("10.0.30.0/24", kind="vswitch")))
    net.delete_subnet(subnet("10.0.1.0/24")).wait_until_finished()
    refused("not_found", lambda: net.delete_subnet(subnet("10.0.1.0/24")))
    net.reload()
    assert len(net.subnets) == 2


def test_routes_and_range(cloud: LabCloud) -> None:
    net = network(cloud, "10.0.0.0/16", "10.0.1.0/24")
    route = NetworkRoute(destination="192.168.0.0/16", gateway="10.0.1.5")
    net.add_route(route).wait_until_finished()
    net.add_route(NetworkRoute(destination="0.0.0.0/0", gateway="10.0.1.5")).wait_until_finished()
    refused("invalid_input", lambda: net.add_route(route))
    for destination, gateway in (
        ("192.169.0.0/16", "10.0.0.1"), ("192.169.0.0/16", "10.1.0.5"), ("10.0.1.0/25", "10.0.1.5"),
    ):  # fmt: skip
        wrong = NetworkRoute(destination=destination, gateway=gateway)
        refused("invalid_input", lambda wrong=wrong: net.add_route(wrong))  # type: ignore[misc]
    net.delete_route(route).wait_until_finished()
    refused("not_found", lambda: net.delete_route(route))
    net.reload()
    assert [(each.destination, each.gateway) for each in net.routes] == [("0.0.0.0/0", "10.0.1.5")]
    net.change_ip_range("10.0.0.0/15").wait_until_finished()
    refused("invalid_input", lambda: net.change_ip_range("10.0.0.0/16"))
    net.reload()
    assert net.ip_range == "10.0.0.0/15"


def test_a_server_joins_and_leaves_a_network(cloud: LabCloud) -> None:
    net, server = network(cloud, "10.0.0.0/16", "10.0.1.0/24"), cloud.server()
    action = server.attach_to_network(net)
    assert action.command == "attach_to_network"
    assert {resource["type"] for resource in action.resources} == {"server", "network"}
    action.wait_until_finished()
    assert nets(server) == [(net.id, "10.0.1.1", [])]
    assert server.private_net[0].mac_address.startswith("86:00:")
    net.reload()
    assert [each.id for each in net.servers] == [server.id]
    refused("server_already_attached", lambda: server.attach_to_network(net))
    server.change_alias_ips(net, ["10.0.1.9", "10.0.1.8"]).wait_until_finished()
    assert nets(server) == [(net.id, "10.0.1.1", ["10.0.1.9", "10.0.1.8"])]
    error = refused("service_error", lambda: net.delete_subnet(subnet("10.0.1.0/24")))
    assert "servers are attached" in error.message
    server.detach_from_network(net).wait_until_finished()
    assert nets(server) == []
    refused("not_found", lambda: server.detach_from_network(net))


def test_addresses_are_chosen_or_given_once(cloud: LabCloud) -> None:
    net = network(cloud, "10.0.0.0/16", "10.0.0.0/29", "10.0.1.0/24")
    first, second, third = (cloud.off() for _ in range(3))
    first.attach_to_network(net).wait_until_finished()
    assert nets(first)[0][1] == "10.0.0.2"  # the first is the gateway
    second.attach_to_network(net, ip="10.0.1.7", alias_ips=["10.0.1.8"]).wait_until_finished()
    assert nets(second) == [(net.id, "10.0.1.7", ["10.0.1.8"])]
    for taken in ("10.0.0.1", "10.0.0.0", "10.0.1.255", "10.0.1.7", "10.0.1.8", "10.0.0.2", "10.0.9.1"):
        refused("ip_not_available", lambda ip=taken: third.attach_to_network(net, ip=ip))  # type: ignore[misc]
    refused("ip_not_available", lambda: third.attach_to_network(net, ip="10.0.1.9", alias_ips=["10.0.1.8"]))
    refused("ip_not_available", lambda: first.change_alias_ips(net, ["10.0.1.8"]))
    third.attach_to_network(net, ip_range="10.0.1.0/24").wait_until_finished()
    assert nets(third)[0][1] == "10.0.1.1"
    refused("no_subnet_available", lambda: cloud.off().attach_to_network(net, ip_range="10.0.2.0/24"))


def test_a_full_subnet_and_a_foreign_zone(cloud: LabCloud) -> None:
    net = cloud.client.networks.create(
        name=unique("net"), ip_range="10.0.0.0/16",
        subnets=[subnet("10.0.1.0/30"), subnet("10.0.2.0/24", zone="us-east")],
    )  # fmt: skip
    for _ in range(2):
        cloud.off().attach_to_network(net).wait_until_finished()
    refused("no_subnet_available", lambda: cloud.off().attach_to_network(net))
    american = cloud.off(location=cloud.client.locations.get_by_name("ash"))
    american.attach_to_network(net).wait_until_finished()
    assert nets(american)[0][1] == "10.0.2.1"


def test_a_server_is_in_three_networks_apart_at_most(cloud: LabCloud) -> None:
    server = cloud.off()
    for number in range(3):
        net = network(cloud, f"10.{number}.0.0/16", f"10.{number}.0.0/24")
        server.attach_to_network(net).wait_until_finished()
    assert len({net.mac_address for net in cloud.client.servers.get_by_id(server.id).private_net}) == 3
    overlapping = network(cloud, "10.0.0.0/15", "10.0.7.0/24")
    refused("networks_overlap", lambda: server.attach_to_network(overlapping))
    fourth = network(cloud, "10.9.0.0/16", "10.9.0.0/24")
    refused("resource_limit_exceeded", lambda: server.attach_to_network(fourth))


def test_a_server_is_made_in_networks(cloud: LabCloud) -> None:
    net, bare = network(cloud, "10.0.0.0/16", "10.0.1.0/24"), network(cloud, "10.1.0.0/16")
    server = cloud.server(networks=[net])
    assert nets(server) == [(net.id, "10.0.1.1", [])]
    refused("no_subnet_available", lambda: cloud.create("none", networks=[bare]))
    refused("not_found", lambda: cloud.create("none", networks=[Network(id=999999)]))
    assert cloud.client.servers.get_by_name("none") is None
    server.delete().wait_until_finished()
    again = cloud.server(networks=[net])
    assert nets(again)[0][1] == "10.0.1.1"


def test_a_deleted_network_takes_its_attachments_along(cloud: LabCloud) -> None:
    net, server = network(cloud, "10.0.0.0/16", "10.0.1.0/24"), cloud.server()
    server.attach_to_network(net).wait_until_finished()
    net.delete()
    assert nets(server) == []


def test_one_change_of_a_network_at_a_time(cloud: LabCloud) -> None:
    net = network(cloud)
    cloud.fault(slow=5)
    action = net.add_subnet(subnet("10.0.1.0/24"))
    answers: list[Any] = [
        cloud.ask(
            "POST", f"/networks/{net.id}/actions/add_subnet", {"type": "cloud", "network_zone": "us-east"}
        ),
        cloud.ask("PUT", f"/networks/{net.id}", {"name": "x"}),
        cloud.ask("DELETE", f"/networks/{net.id}"),
    ]
    cloud.fault()
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    action.wait_until_finished()
    net.add_subnet(subnet("10.0.2.0/24")).wait_until_finished()


def test_addresses_stay_in_their_subnets(cloud: LabCloud) -> None:
    net = network(cloud, "192.168.0.0/16", "192.168.3.0/28")
    for _ in range(5):
        server = cloud.off()
        server.attach_to_network(net).wait_until_finished()
        assert ip_address(nets(server)[0][1]) in ip_network("192.168.3.0/28")
