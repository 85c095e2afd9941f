"""Primary IPs."""

from ipaddress import ip_address, ip_network

from hcloud.primary_ips import BoundPrimaryIP
from hcloud.servers import ServerCreatePublicNetwork

from tests.lab.cloud.world import FSN1, LabCloud, refused, unique


def reserve(cloud: LabCloud, kind: str = "ipv4", **wanted: object) -> BoundPrimaryIP:
    made = cloud.client.primary_ips.create(
        type=kind, name=unique("ip"), location=FSN1, **wanted  # type: ignore[arg-type]
    )  # fmt: skip
    return made.primary_ip


def with_ips(**wanted: object) -> ServerCreatePublicNetwork:
    return ServerCreatePublicNetwork(**wanted)  # type: ignore[arg-type]


def test_the_life_of_an_address(cloud: LabCloud) -> None:
    client = cloud.client
    made = reserve(cloud, labels={"a": "b"})
    assert ip_address(made.ip).version == 4
    assert (made.assignee_id, made.auto_delete, made.blocked, made.labels) == (None, False, False, {"a": "b"})
    assert made.location.name == "fsn1"
    assert made.dns_ptr[0]["ip"] == made.ip
    changed = made.update(name=unique("other"), labels={}, auto_delete=True)
    assert (changed.labels, changed.auto_delete, changed.ip) == ({}, True, made.ip)
    refused(
        "uniqueness_error",
        lambda: client.primary_ips.create(type="ipv4", name=changed.name, location=FSN1),
    )
    assert client.primary_ips.get_by_name(changed.name).id == made.id
    found = cloud.ask("GET", f"/primary_ips?ip={made.ip}").json()["primary_ips"]
    assert [address["id"] for address in found] == [made.id]
    made.delete()
    refused("not_found", lambda: client.primary_ips.get_by_id(made.id))


def test_addresses_are_given_once(cloud: LabCloud) -> None:
    given = {reserve(cloud).ip for _ in range(5)} | {reserve(cloud, "ipv6").ip for _ in range(5)}
    assert len(given) == 10
    again = reserve(cloud, "ipv6")
    for address in cloud.client.primary_ips.get_all()[:8]:
        address.delete()
    assert reserve(cloud, "ipv6").ip != again.ip
    assert all(ip_network(ip).prefixlen in {32, 64} for ip in given)


def test_an_address_outlives_its_server(cloud: LabCloud) -> None:
    kept, gone = reserve(cloud), reserve(cloud, "ipv6", auto_delete=True)
    server = cloud.server(public_net=with_ips(ipv4=kept, ipv6=gone))
    assert server.public_net.ipv4.ip == kept.ip
    assert server.public_net.primary_ipv4.id == kept.id
    assert cloud.client.primary_ips.get_by_id(kept.id).assignee_id == server.id
    refused("must_be_unassigned", kept.delete)
    refused("primary_ip_assigned", lambda: cloud.create(public_net=with_ips(ipv4=kept)))
    server.delete().wait_until_finished()
    assert cloud.client.primary_ips.get_by_id(kept.id).assignee_id is None
    refused("not_found", lambda: cloud.client.primary_ips.get_by_id(gone.id))
    again = cloud.server(public_net=with_ips(ipv4=kept))
    assert again.public_net.ipv4.ip == kept.ip


def test_a_server_without_addresses_of_its_own_is_given_two_that_go_with_it(cloud: LabCloud) -> None:
    server = cloud.server()
    assert ip_network(server.public_net.ipv6.ip).prefixlen == 64
    made = cloud.client.primary_ips.get_all()
    assert {address.type: address.auto_delete for address in made} == {"ipv4": True, "ipv6": True}
    server.delete().wait_until_finished()
    assert cloud.client.primary_ips.get_all() == []


def test_an_address_moves_between_servers_that_are_off(cloud: LabCloud) -> None:
    address = reserve(cloud)
    bare = with_ips(enable_ipv4=False, enable_ipv6=True)
    server, other = cloud.server(public_net=bare), cloud.off(public_net=bare)
    assert server.public_net.ipv4 is None
    refused("server_not_stopped", lambda: address.assign(server.id, "server"))
    server.power_off().wait_until_finished()
    action = address.assign(server.id, "server")
    action.wait_until_finished()
    assert {(resource["type"], resource["id"]) for resource in action.resources} == {
        ("primary_ip", address.id), ("server", server.id),
    }  # fmt: skip
    refused("primary_ip_already_assigned", lambda: address.assign(other.id, "server"))
    refused("server_has_ipv4", lambda: reserve(cloud).assign(server.id, "server"))
    refused("server_has_ipv6", lambda: reserve(cloud, "ipv6").assign(server.id, "server"))
    server.power_on().wait_until_finished()
    refused("server_not_stopped", address.unassign)
    server.power_off().wait_until_finished()
    address.unassign().wait_until_finished()
    address.assign(other.id, "server").wait_until_finished()
    assert cloud.client.servers.get_by_id(other.id).public_net.ipv4.ip == address.ip


def test_an_address_made_for_a_server(cloud: LabCloud) -> None:
    server = cloud.off(public_net=with_ips(enable_ipv4=False, enable_ipv6=True))
    made = cloud.client.primary_ips.create(
        type="ipv4", name=unique("ip"), assignee_id=server.id, assignee_type="server", auto_delete=True
    )
    made.action.wait_until_finished()
    assert (made.primary_ip.assignee_id, made.primary_ip.location.name) == (server.id, server.location.name)
    assert cloud.client.servers.get_by_id(server.id).public_net.ipv4.ip == made.primary_ip.ip
    refused(
        "server_has_ipv4",
        lambda: cloud.client.primary_ips.create(
            type="ipv4", name=unique("ip"), assignee_id=server.id, assignee_type="server"
        ),
    )


def test_an_address_is_asked_for_with_a_place_or_a_server(cloud: LabCloud) -> None:
    error = refused("invalid_input", lambda: cloud.client.primary_ips.create(type="ipv4", name=unique("ip")))
    assert error.details["fields"][0]["name"] == "location"


def test_server_and_addresses_have_to_fit(cloud: LabCloud) -> None:
    four, six = reserve(cloud), reserve(cloud, "ipv6")
    refused("primary_ip_version_mismatch", lambda: cloud.create(public_net=with_ips(ipv4=six)))
    elsewhere = cloud.client.locations.get_by_name("hel1")
    refused(
        "primary_ip_datacenter_mismatch",
        lambda: cloud.create(public_net=with_ips(ipv4=four), location=elsewhere),
    )
    assert cloud.server(public_net=with_ips(ipv4=four)).location.name == "fsn1"


def test_a_protected_address_stays(cloud: LabCloud) -> None:
    address = reserve(cloud)
    address.change_protection(delete=True).wait_until_finished()
    assert cloud.client.primary_ips.get_by_id(address.id).protection == {"delete": True}
    refused("protected", address.delete)
    address.change_protection(delete=False).wait_until_finished()
    address.delete()
    fleeting = reserve(cloud, auto_delete=True)
    refused("invalid_input", lambda: fleeting.change_protection(delete=True))
