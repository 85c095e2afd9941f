"""Every key of the state is replaced on real hosts: no server goes with it, and every node stays open."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.knocking import Knocks, knocking
from tests.system.world import World

pytestmark = pytest.mark.hosts

NODES: dict[str, Any] = {"web-1": {"address": "10.10.0.1"}, "db-1": {"address": "10.10.0.11"}}


@pytest.fixture(scope="module")
def mesh(world: World) -> World:
    world.edit_mesh(lambda settings: settings.update(nodes=NODES))
    world.up()
    return world


def _servers(mesh: World) -> dict[str, str]:
    return {node: mesh.on(node, "cat /etc/machine-id") for node in NODES}


def _urn(mesh: World, name: str) -> str:
    (found,) = [
        resource["urn"]
        for resource in mesh.json("stack", "export")["deployment"]["resources"]
        if resource["type"] == "pulumi:index:Stash" and resource["urn"].endswith(f"::{name}")
    ]
    return str(found)


@pytest.fixture
def knocks(mesh: World) -> Iterator[dict[str, Knocks]]:
    addresses = {name: facts["public_ip"] for name, facts in mesh.outputs()["nodes"].items()}
    with knocking(addresses["web-1"], 22) as web, knocking(addresses["db-1"], 22) as db:
        yield {"web-1": web, "db-1": db}


def _whole(mesh: World, before: dict[str, str]) -> None:
    for _ in range(2):
        mesh.up()
    assert mesh.lab("run", "preview", "--expect-no-changes").code == 0
    assert _servers(mesh) == before
    check = mesh.command(".venv/bin/python", "-m", "mesh", "check")
    assert check.code == 0, check.out
    reach = mesh.reach()
    assert reach.code == 0, reach.out


def _opens(mesh: World, node: str) -> bool:
    return mesh.command(".venv/bin/python", "-m", "mesh", "ssh", node, "true").code == 0


@pytest.mark.long
def test_the_management_key_and_a_host_key_are_replaced_together_and_no_server_goes(
    mesh: World, knocks: dict[str, Knocks]
) -> None:
    before, old = _servers(mesh), mesh.outputs()
    urns = [_urn(mesh, name) for name in ("management-key", "web-1-host-key")]
    options = [word for urn in urns for word in ("--replace", urn)]
    preview = mesh.ok("preview", *options)
    assert "-server" not in preview, preview
    mesh.ok("up", "--yes", "--skip-preview", *options)
    new = mesh.outputs()
    assert new["ssh_private_key"] != old["ssh_private_key"]
    assert new["nodes"]["web-1"]["host_key"] != old["nodes"]["web-1"]["host_key"]
    assert all(_opens(mesh, node) for node in NODES)
    lines = mesh.on("db-1", "grep -c wireguard-mesh$ /root/.ssh/authorized_keys")
    assert lines.strip() == "2", "both open it until the next run"
    _whole(mesh, before)
    lines = mesh.on("db-1", "sed -n '/BEGIN wgmesh/,/END wgmesh/p' /root/.ssh/authorized_keys")
    assert lines.count("wireguard-mesh\n") == 1
    assert {name: each.shut for name, each in knocks.items()} == {"web-1": [], "db-1": []}


@pytest.mark.long
def test_a_node_that_was_down_when_the_keys_changed_gets_in_afterwards(mesh: World) -> None:
    before = _servers(mesh)
    mesh.on("web-1", "systemctl stop ssh")
    for _ in range(2):
        run = mesh.lab(
            *("run", "up", "--yes", "--skip-preview", "--continue-on-error"),
            *("--replace", _urn(mesh, "management-key"), "--replace", _urn(mesh, "web-1-host-key")),
        )
        assert run.code == 1, run.out
    mesh.on("web-1", "systemctl start ssh")
    mesh.up()
    _whole(mesh, before)


@pytest.mark.long
@pytest.mark.parametrize("name", ["preshared-root", "web-1-identity", "web-1-first-contact-key"])
def test_any_other_key_replaces_no_server_and_cuts_nobody_off(
    mesh: World, knocks: dict[str, Knocks], name: str
) -> None:
    before = _servers(mesh)
    mesh.ok("up", "--yes", "--skip-preview", "--replace", _urn(mesh, name))
    _whole(mesh, before)
    assert {node: each.shut for node, each in knocks.items()} == {"web-1": [], "db-1": []}
