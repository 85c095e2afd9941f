"""A mesh with a server that is there already: what is declared for the server, and what a run refuses."""

import re
from typing import Any

import asyncssh
import pytest

from mesh.names import COMMAND, LEAVE
from mesh.program.keys import ssh_public_line
from mesh.program.machines.static.model import fingerprint
from tests.unit.program.recording import Recording, run

KEY = " ".join(asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode().split()[:2])


@pytest.fixture(autouse=True)
def _agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/user/1000/agent")


def _run(existing: Recording | None = None, /, **more: Any) -> Recording:
    node = {"address": "10.10.0.2", "provider": "static", "host": "203.0.113.7", "hostKey": KEY, **more}
    mesh = {"cidr": "10.10.0.0/24", "nodes": {"a": {"address": "10.10.0.1"}, "rack": node}}
    return run(mesh, existing=existing)


def _connection(step: Any) -> dict[str, Any]:
    given = step.inputs["connection"]
    found: dict[str, Any] = given.get("value", given)
    return found


def test_first_contact_is_the_operators_and_everything_after_it_the_meshs() -> None:
    made = _run(user="ops", sshPort=2222)
    first = _connection(made["rack-bootstrap"])
    assert (first["host"], first["port"], first["user"]) == ("203.0.113.7", 2222, "ops")
    assert first["hostKey"] == KEY
    assert "privateKey" not in first
    for step in ("agent-file", "keys", "apply", LEAVE):
        later = _connection(made[f"rack-{step}"])
        assert (later["user"], later["port"]) == ("root", 2222), step
        assert later["hostKey"].startswith("ssh-ed25519 ")
        assert later["privateKey"]
    assert (
        "2222"
        in re.findall(r"tcp dport (\{[\d, ]+\}) ip saddr @ssh_sources4", made["rack-apply"].inputs["stdin"])[
            0
        ]
    )


def test_another_user_works_with_sudo_and_brings_the_public_keys_alone() -> None:
    made = _run(user="ops")
    command = made["rack-bootstrap"].inputs["create"]
    assert command.startswith('exec sudo -n env "SSH_CONNECTION=$SSH_CONNECTION" timeout -s KILL ')
    assert 'networks="10.10.0.0/24"' in command
    private = _connection(made["rack-keys"])["privateKey"]
    assert f'management_key="{ssh_public_line(private)}"' in command
    assert "PRIVATE" not in command
    assert _run()["rack-bootstrap"].inputs["create"].startswith("exec timeout ")


def test_no_step_depends_on_the_one_that_takes_the_mesh_off_so_the_state_can_lose_it() -> None:
    made = _run()
    leave = made[f"rack-{LEAVE}"]
    assert leave.type == COMMAND
    assert "create" not in leave.inputs
    assert not any(leave.urn in each.dependencies for each in made.resources.values())


def test_a_server_that_is_dead_is_told_nothing_when_it_goes() -> None:
    assert "delete" in _run()[f"rack-{LEAVE}"].inputs
    assert "delete" not in _run(_run(), enabled=False, forget=True)[f"rack-{LEAVE}"].inputs


def test_a_server_at_another_address_is_the_same_one_and_one_with_another_key_is_not() -> None:
    made = _run()
    assert made["rack-bootstrap"].inputs["triggers"] == [fingerprint(KEY)]
    moved = _run(made, host="203.0.113.8")
    assert moved["rack-bootstrap"].inputs["triggers"] == [fingerprint(KEY)]
    assert _connection(moved["rack-apply"])["host"] == "203.0.113.8"
    assert "203.0.113.8:51820" in moved["a-apply"].inputs["stdin"]


def test_nothing_of_a_server_from_the_cloud_changes() -> None:
    made = _run()
    assert "a-bootstrap" not in made.resources
    assert _connection(made["a-agent-file"])["user"] == "root"
    with pytest.raises(KeyError):
        made[f"a-{LEAVE}"]


def test_a_second_address_is_where_nodes_without_ipv4_find_the_server() -> None:
    six = {"address": "10.10.0.3", "publicIpv4": False, "publicIpv6": True}
    node = {"address": "10.10.0.2", "provider": "static", "host": "203.0.113.7", "hostIpv6": "2001:db8::7"}
    nodes = {"four": {"address": "10.10.0.1"}, "rack": {**node, "hostKey": KEY}, "six": six}
    links = [["four", "rack"], ["six", "rack"]]
    made = run({"cidr": "10.10.0.0/24", "nodes": nodes, "links": links})
    found = {
        name: re.findall(r"^Endpoint = (.*)$", made[f"{name}-apply"].inputs["stdin"], re.MULTILINE)
        for name in ("four", "six")
    }
    assert found == {"four": ["203.0.113.7:51820"], "six": ["[2001:db8::7]:51820"]}
    assert _connection(made["rack-apply"])["host"] == "203.0.113.7"


def test_a_server_that_was_in_the_cloud_meanwhile_is_met_again() -> None:
    """The mesh has left it: the state may not say that first contact is done."""
    static = _run()
    mesh = {"address": "10.10.0.2"}
    nodes = {"a": {"address": "10.10.0.1"}, "rack": mesh}
    cloud = run({"cidr": "10.10.0.0/24", "nodes": nodes}, existing=static)
    kept = cloud["rack-bootstrap"]
    assert "triggers" not in kept.request.ignoreChanges
    assert kept.inputs["triggers"] != static["rack-bootstrap"].inputs["triggers"]
    assert "create" not in kept.inputs
    back = _run(cloud)
    assert back["rack-bootstrap"].inputs["triggers"] == static["rack-bootstrap"].inputs["triggers"]
    assert "create" in back["rack-bootstrap"].inputs
