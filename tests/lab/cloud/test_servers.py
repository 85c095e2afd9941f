"""Servers: made, read, changed, deleted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hcloud.images import Image
from hcloud.server_types import ServerType
from hcloud.servers import ServerCreatePublicNetwork

from tests.lab.cloud.world import LabCloud, public_key, refused, unique


def test_the_life_of_a_server(cloud: LabCloud) -> None:
    made = cloud.create("web-1", labels={"env": "test"})
    assert (made.server.status, made.server.locked) == ("initializing", True)
    assert made.action.command == "create_server"
    assert [action.command for action in made.next_actions] == ["start_server"]
    for action in (made.action, *made.next_actions):
        action.wait_until_finished()
    server = cloud.client.servers.get_by_name("web-1")
    assert (server.status, server.locked, server.labels) == ("running", False, {"env": "test"})
    assert (server.server_type.name, server.image.name, server.location.name) == ("cx23", "debian-12", "fsn1")
    assert (server.backup_window, server.primary_disk_size, server.rescue_enabled) == (None, 40, False)
    assert datetime.now(UTC) - server.created < timedelta(minutes=5)
    changed = server.update(name="web-2", labels={})
    assert (changed.name, changed.labels) == ("web-2", {})
    action = server.delete()
    assert (action.command, action.resources) == ("delete_server", [{"id": server.id, "type": "server"}])
    action.wait_until_finished()
    refused("not_found", lambda: cloud.client.servers.get_by_id(server.id))
    assert cloud.client.servers.get_by_name("web-2") is None


def test_a_password_is_given_where_there_is_no_key(cloud: LabCloud) -> None:
    key = cloud.client.ssh_keys.create(name=unique("key"), public_key=public_key())
    assert cloud.create(ssh_keys=[key]).root_password is None
    assert len(cloud.create().root_password) >= 12


def test_a_server_that_is_not_to_start(cloud: LabCloud) -> None:
    made = cloud.create(start_after_create=False)
    assert made.next_actions == []
    made.action.wait_until_finished()
    assert cloud.client.servers.get_by_id(made.server.id).status == "off"


def test_names_are_unique_host_names(cloud: LabCloud) -> None:
    cloud.server("one")
    error = refused("uniqueness_error", lambda: cloud.create("one"))
    assert error.details == {"fields": [{"name": "name"}]}
    other = cloud.server("two")
    refused("uniqueness_error", lambda: other.update(name="one"))
    for name in ("", "-a", "a_b", "a..b", "ä", "a" * 64, "a b", "1.2.3.4\n"):
        refused("invalid_input", lambda name=name: cloud.create(name))  # type: ignore[misc]
    assert cloud.server("db.example.com").name == "db.example.com"


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"server_type": ServerType(name="cx9000")}, "server_type"),
        ({"image": Image(name="windows")}, "image"),
        ({"server_type": ServerType(name="cax11")}, "image"),
        ({"user_data": "x" * (32 * 1024 + 1)}, "user_data"),
        ({"labels": {"-": ""}}, "labels"),
        ({"labels": {"hetzner.cloud/x": ""}}, "labels"),
        ({"labels": {"a": "ä"}}, "labels"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(cloud: LabCloud, wanted: Any, field: str) -> None:
    error = refused("invalid_input", lambda: cloud.create(**wanted))
    assert [found["name"] for found in error.details["fields"]] == [field]
    assert cloud.client.servers.get_all() == []
    assert cloud.client.primary_ips.get_all() == []


def test_images_and_types_are_named_or_numbered(cloud: LabCloud) -> None:
    image = cloud.client.images.get_by_name_and_architecture("debian-12", "x86")
    kind = cloud.client.server_types.get_by_name("cx33")
    server = cloud.server(image=Image(id=image.id), server_type=ServerType(id=kind.id))
    assert (server.image.id, server.server_type.name) == (image.id, "cx33")


def test_a_server_without_public_addresses(cloud: LabCloud) -> None:
    nothing = ServerCreatePublicNetwork(enable_ipv4=False, enable_ipv6=False)
    server = cloud.off(public_net=nothing)
    assert (server.public_net.ipv4, server.public_net.ipv6) == (None, None)


def test_ipv6_is_a_network_of_the_servers_own(cloud: LabCloud) -> None:
    first, second = cloud.server().public_net.ipv6, cloud.server().public_net.ipv6
    assert first.network_mask == second.network_mask == "64"
    assert first.network != second.network


def test_a_failed_creation_leaves_no_address_behind(cloud: LabCloud) -> None:
    before = len(cloud.client.primary_ips.get_all())
    cloud.fault(create="resource_unavailable")
    refused("resource_unavailable", cloud.create)
    assert len(cloud.client.primary_ips.get_all()) == before
