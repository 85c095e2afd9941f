"""Actions: what takes time, and how one learns of its end."""

import time

import pytest
from hcloud.actions import ActionFailedException

from tests.lab.cloud.world import LabCloud, refused


def test_an_action_goes_from_running_to_success(cloud: LabCloud) -> None:
    cloud.fault(slow=3)
    made = cloud.create()
    action = cloud.client.actions.get_by_id(made.action.id)
    assert (action.status, action.finished, action.error) == ("running", None, None)
    assert action.progress < 100
    assert action.resources == [{"id": made.server.id, "type": "server"}]
    action.wait_until_finished()
    assert (action.status, action.progress) == ("success", 100)
    assert action.finished >= action.started


def test_an_action_that_fails_says_why(cloud: LabCloud) -> None:
    server = cloud.server()
    cloud.fault(action="stop_server")
    action = server.power_off()
    with pytest.raises(ActionFailedException):
        action.wait_until_finished()
    failed = cloud.client.actions.get_by_id(action.id)
    assert (failed.status, failed.error["code"]) == ("error", "server_error")
    server.reload()
    assert (server.status, server.locked) == ("running", False)
    server.power_off().wait_until_finished()


def test_progress_is_shown_step_by_step(cloud: LabCloud) -> None:
    server = cloud.server()
    cloud.fault(slow=3)
    action, seen = server.reboot(), []
    while action.status == "running":
        time.sleep(0.02)  # requests are limited
        action.reload()
        seen.append(action.progress)
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert any(0 < progress < 100 for progress in seen)


def test_actions_of_one_resource(cloud: LabCloud) -> None:
    server, other = cloud.server(), cloud.server()
    off = server.power_off()
    off.wait_until_finished()
    commands = [action.command for action in server.get_actions()]
    assert commands == ["create_server", "start_server", "stop_server"]
    newest = server.get_actions(sort=["id:desc"])
    assert [action.id for action in newest] == sorted((action.id for action in newest), reverse=True)
    assert server.get_actions(status=["running", "error"]) == []
    assert cloud.client.servers.actions.get_by_id(off.id).command == "stop_server"
    assert cloud.ask("GET", f"/servers/{server.id}/actions/{off.id}").json()["action"]["id"] == off.id
    assert cloud.ask("GET", f"/servers/{other.id}/actions/{off.id}").status_code == 404
    everything = {action.id for action in cloud.client.servers.actions.get_all()}
    assert off.id in everything
    address = cloud.client.primary_ips.get_all()[0]
    assert cloud.ask("GET", f"/primary_ips/actions/{off.id}").status_code == 404
    assert cloud.ask("GET", f"/primary_ips/{address.id}/actions").json()["actions"] == []


def test_several_actions_are_asked_for_at_once(cloud: LabCloud) -> None:
    ids = [cloud.server().get_actions()[0].id for _ in range(3)]
    query = "&".join(f"id={number}" for number in ids)
    answer = cloud.ask("GET", f"/actions?{query}&sort=status&sort=id").json()
    assert [action["id"] for action in answer["actions"]] == ids
    assert answer["meta"]["pagination"]["total_entries"] == 3
    answer = cloud.ask("GET", "/actions")  # listing all of them was removed in 2025
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")
    assert cloud.ask("GET", "/actions?id=x").status_code == 422


def test_an_action_that_never_was(cloud: LabCloud) -> None:
    refused("not_found", lambda: cloud.client.actions.get_by_id(987654321))
