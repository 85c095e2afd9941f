"""Faults on request: what a real cloud does now and then, on demand."""

import time

import pytest
from hcloud.actions import ActionFailedException

from tests.lab.cloud.world import LabCloud, refused, unique


def test_the_next_creation_is_refused(cloud: LabCloud) -> None:
    for code in ("resource_unavailable", "placement_error", "resource_limit_exceeded"):
        cloud.fault(create=code)
        refused(code, cloud.create)
    assert cloud.client.servers.get_all() == []
    cloud.server()


def test_a_location_without_capacity(cloud: LabCloud) -> None:
    cloud.fault(capacity=["fsn1"])
    for _ in range(2):
        refused("resource_unavailable", cloud.create)
    elsewhere = cloud.client.locations.get_by_name("nbg1")
    assert cloud.server(location=elsewhere).status == "running"
    cloud.fault()
    assert cloud.server().location.name == "fsn1"


@pytest.mark.parametrize("command", ["create_server", "start_server"])
def test_a_creation_that_fails_leaves_a_server_to_delete(cloud: LabCloud, command: str) -> None:
    cloud.fault(action=command)
    made = cloud.create()
    with pytest.raises(ActionFailedException):
        made.next_actions[0].wait_until_finished()  # a server that was not made cannot start either
    made.action.reload()
    assert made.action.status == ("error" if command == "create_server" else "success")
    server = cloud.client.servers.get_by_id(made.server.id)
    assert server.status == "off"
    server.delete().wait_until_finished()
    assert cloud.client.primary_ips.get_all() == []


def test_errors_of_the_server(cloud: LabCloud) -> None:
    for status, code in ((500, "server_error"), (503, "service_error"), (502, "bad_gateway")):
        cloud.fault(http=status, count=2)
        for _ in range(2):
            answer = cloud.ask("GET", "/servers")
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert cloud.ask("GET", "/servers").status_code == 200


def test_the_official_client_outlives_a_bad_gateway(cloud: LabCloud) -> None:
    cloud.fault(http=502)
    assert cloud.client.servers.get_all() == []


def test_slowness(cloud: LabCloud) -> None:
    cloud.fault(slow=0.5)
    start = time.monotonic()
    cloud.server()
    assert time.monotonic() - start >= 0.5


def test_a_server_vanishes(cloud: LabCloud) -> None:
    server, other = cloud.server(unique("gone")), cloud.server()
    cloud.fault(vanish=server.name)
    refused("not_found", lambda: cloud.client.servers.get_by_id(server.id))
    assert [left.id for left in cloud.client.servers.get_all()] == [other.id]
    cloud.server(server.name)
