"""What is done to a server: power, rebuild, type, protection."""

import pytest
from hcloud import APIException
from hcloud.images import Image
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer

from tests.lab.cloud.world import LabCloud, refused


def status(server: BoundServer) -> str:
    server.reload()
    return str(server.status)


def test_power(cloud: LabCloud) -> None:
    server = cloud.server()
    for method, command, after in (
        ("power_off", "stop_server", "off"),
        ("power_on", "start_server", "running"),
        ("reset", "reset_server", "running"),
        ("reboot", "reboot_server", "running"),
        ("shutdown", "shutdown_server", "off"),
        ("power_off", "stop_server", "off"),
        ("power_on", "start_server", "running"),
        ("power_on", "start_server", "running"),
    ):
        action = getattr(server, method)()
        assert action.command == command
        action.wait_until_finished()
        assert status(server) == after


def test_one_thing_at_a_time(cloud: LabCloud) -> None:
    cloud.fault(slow=5)
    made = cloud.create()
    cloud.fault()
    server = cloud.client.servers.get_by_id(made.server.id)
    for work in (
        server.power_off,
        server.delete,
        lambda: server.change_protection(delete=True, rebuild=True),
        lambda: server.rebuild(image=Image(name="debian-12")),
    ):
        with pytest.raises(APIException) as caught:
            work()
        assert caught.value.code == "locked"
    answer = cloud.ask("POST", f"/servers/{server.id}/actions/poweroff")
    assert answer.status_code == 423
    for action in (made.action, *made.next_actions):
        action.wait_until_finished()
    server.power_off().wait_until_finished()
    assert status(server) == "off"


def test_rebuild(cloud: LabCloud) -> None:
    server = cloud.server()
    address = server.public_net.ipv4.ip
    done = server.rebuild(image=Image(name="debian-13"))
    assert done.action.command == "rebuild_server"
    done.action.wait_until_finished()
    assert status(server) == "running"
    assert (server.image.name, server.public_net.ipv4.ip) == ("debian-13", address)
    refused("invalid_input", lambda: server.rebuild(image=Image(name="windows")))


def test_change_of_type(cloud: LabCloud) -> None:
    server = cloud.server()
    big = ServerType(name="cx33")
    refused("server_not_stopped", lambda: server.change_type(big, upgrade_disk=False))
    server.power_off().wait_until_finished()
    server.change_type(big, upgrade_disk=False).wait_until_finished()
    assert status(server) == "running"  # the API starts it again
    assert (server.server_type.name, server.primary_disk_size) == ("cx33", 40)
    server.power_off().wait_until_finished()
    server.change_type(big, upgrade_disk=True).wait_until_finished()
    server.reload()
    assert server.primary_disk_size == 80
    server.power_off().wait_until_finished()
    for other in ("cx23", "cax21"):  # a smaller disk, another architecture
        refused(
            "invalid_server_type",
            lambda other=other: server.change_type(ServerType(name=other), upgrade_disk=False),  # type: ignore[misc]
        )


def test_protection(cloud: LabCloud) -> None:
    server = cloud.server()
    server.change_protection(delete=True, rebuild=True).wait_until_finished()
    server.reload()
    assert server.protection == {"delete": True, "rebuild": True}
    refused("protected", server.delete)
    refused("protected", lambda: server.rebuild(image=Image(name="debian-12")))
    server.change_protection(rebuild=False, delete=False).wait_until_finished()
    server.rebuild(image=Image(name="debian-12")).action.wait_until_finished()
    server.delete().wait_until_finished()
    assert cloud.client.servers.get_all() == []


def test_backups(cloud: LabCloud) -> None:
    server = cloud.server()
    server.enable_backup().wait_until_finished()
    server.reload()
    assert server.backup_window == "22-02"
    server.disable_backup().wait_until_finished()
    server.reload()
    assert server.backup_window is None


def test_what_the_lab_does_not_offer_is_named(cloud: LabCloud) -> None:
    server = cloud.server()
    answer = cloud.ask("POST", f"/servers/{server.id}/actions/request_console")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
