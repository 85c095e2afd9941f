"""A node gets another name on real hosts: its server, its keys and its sessions stay."""

import re
import sys
from typing import Any

import pytest

from tests.system.world import World

pytestmark = [pytest.mark.hosts, pytest.mark.long]

NODES: dict[str, Any] = {
    "web-1": {"address": "10.10.0.1", "groups": ["web"], "public": ["tcp/80"]},
    "db-1": {"address": "10.10.0.11"},
}
POLICY = [
    {"from": ["web"], "to": ["db-1"], "allow": ["tcp/5432"]},
    {"from": ["db-1"], "to": ["web-1"], "allow": ["all"]},
]


@pytest.fixture
def mesh(world: World) -> World:
    """Two nodes that never had another name."""

    def change(settings: dict[str, Any]) -> None:
        settings.update(nodes=NODES, policy=POLICY, rollout={"canary": "web-1"})

    gone = world.lab("run", "destroy", "--yes", "--skip-preview")
    assert gone.code == 0 or "no stack named" in gone.out, gone.out
    world.edit_mesh(change)
    world.up()
    return world


def _rename(mesh: World, old: str, new: str) -> None:
    done = mesh.command(sys.executable, "-m", "mesh", "rename", old, new, "--stack", "lab")
    assert done.code == 0, done.out


def _facts(mesh: World, host: str) -> dict[str, str]:
    """What must be the same afterwards: the machine, the keys of the tunnel, and when hands were shaken."""
    return {
        "machine": mesh.on(host, "cat /etc/machine-id"),
        "keys": mesh.on(host, "wg show wg0 private-key; wg show wg0 preshared-keys"),
        "handshake": mesh.on(host, "wg show wg0 latest-handshakes"),
        "host key": mesh.on(host, "cat /etc/ssh/ssh_host_ed25519_key.pub"),
        "hostname": mesh.on(host, "hostname"),
    }


def _servers(mesh: World) -> dict[str, tuple[str, Any]]:
    state = mesh.json("stack", "export")["deployment"]["resources"]
    return {
        each["outputs"]["name"]: (each["id"], each["outputs"]["ipv4Address"])
        for each in state
        if each["type"] == "hcloud:index/server:Server"
    }


def test_a_renamed_node_is_the_same_server_with_the_same_sessions(mesh: World) -> None:
    before, servers = {host: _facts(mesh, host) for host in NODES}, _servers(mesh)
    _rename(mesh, "web-1", "front-1")
    preview = mesh.ok("preview", "--diff")
    assert not re.search(r"\d+ to (create|replace|delete)", preview), preview
    assert "10.10.0.1 front-1" in preview
    up = mesh.up()
    assert not re.search(r"\d+ (created|replaced|deleted)", up), up
    assert {host: _facts(mesh, host) for host in NODES} == before
    after = _servers(mesh)
    assert after == {"lab-front-1": servers["lab-web-1"], "lab-db-1": servers["lab-db-1"]}
    assert sorted(mesh.outputs()["nodes"]) == ["db-1", "front-1"]
    assert "10.10.0.1 front-1" in mesh.on("db-1", "cat /etc/hosts")
    assert mesh.lab("run", "preview", "--expect-no-changes").code == 0
    for words in (("check",), ("reach",), ("ssh", "front-1", "true")):
        done = mesh.command(sys.executable, "-m", "mesh", *words)
        assert done.code == 0, done.out


def test_its_former_name_cannot_be_taken_and_the_way_back_is_free(mesh: World) -> None:
    _rename(mesh, "web-1", "front-1")
    mesh.up()
    refused = mesh.command(sys.executable, "-m", "mesh", "add", "web-1", "--stack", "lab")
    assert refused.code == 1
    assert "web-1 is the name of another node, but the keys of front-1 are made with this name" in refused.out
    before, servers = _facts(mesh, "db-1"), _servers(mesh)
    _rename(mesh, "front-1", "web-1")
    up = mesh.up()
    assert not re.search(r"\d+ (created|replaced|deleted)", up), up
    assert _facts(mesh, "db-1") == before
    assert _servers(mesh) == {"lab-web-1": servers["lab-front-1"], "lab-db-1": servers["lab-db-1"]}


def test_a_run_that_was_stopped_while_it_renamed_is_carried_on(mesh: World) -> None:
    """The engine knows the node by its new name then, and most of its parts by the former one."""
    servers = _servers(mesh)
    _rename(mesh, "db-1", "store-1")
    mesh.console("db-1", "systemctl stop sshd ssh.socket ssh; true")
    stopped = mesh.lab("run", "up", "--yes", "--skip-preview")
    assert stopped.code != 0, stopped.out
    mesh.console("db-1", "systemctl start ssh")
    up = mesh.up()
    assert not re.search(r"\d+ (created|replaced|deleted)", up), up
    assert _servers(mesh) == {"lab-web-1": servers["lab-web-1"], "lab-store-1": servers["lab-db-1"]}
