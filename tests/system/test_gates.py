"""Both gates move while somebody knocks from outside: the cloud's firewall, and the node's own table."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.knocking import Knocks, knocking
from tests.system.world import World

pytestmark = pytest.mark.hosts

NODES: dict[str, Any] = {
    "web-1": {"address": "10.10.0.1", "public": ["tcp/80"]},
    "web-2": {"address": "10.10.0.2", "public": ["tcp/80"]},
    "db-1": {"address": "10.10.0.11"},
}
UP = ("up", "--yes", "--skip-preview", "--continue-on-error")


@pytest.fixture(scope="module")
def mesh(world: World) -> World:
    world.edit_mesh(lambda settings: settings.update(nodes=NODES))
    world.up()
    return world


@pytest.fixture
def addresses(mesh: World) -> dict[str, str]:
    return {name: facts["public_ip"] for name, facts in mesh.outputs()["nodes"].items()}


@contextmanager
def _knocking(addresses: dict[str, str]) -> Iterator[dict[str, Knocks]]:
    with ExitStack() as all_of_them:
        yield {
            name: all_of_them.enter_context(knocking(address, 22, 2222))
            for name, address in addresses.items()
        }


def _ssh(mesh: World, port: int) -> None:
    mesh.edit_mesh(lambda settings: settings.update(ssh={"port": port}))


def _server_ids(mesh: World) -> dict[str, str]:
    return {node: mesh.on(node, "cat /etc/machine-id") for node in NODES}


def _open(mesh: World, address: str, port: int) -> bool:
    run = mesh.command("timeout", "2", "bash", "-c", f"head -c 4 </dev/tcp/{address}/{port}")
    return run.out == "SSH-"


def _nothing_left(mesh: World) -> bool:
    return mesh.lab("run", "preview", "--expect-no-changes").code == 0


def test_another_ssh_port_takes_two_runs_and_no_moment_without_a_door(
    mesh: World, addresses: dict[str, str]
) -> None:
    before = _server_ids(mesh)
    with _knocking(addresses) as knocks:
        _ssh(mesh, 2222)
        said = mesh.ok("preview")
        assert "SSH moves from port 22 to 2222" in said
        mesh.up()
        for address in addresses.values():
            assert _open(mesh, address, 22)
            assert _open(mesh, address, 2222)
        check = mesh.command(".venv/bin/python", "-m", "mesh", "check")
        assert check.code == 0, check.out
        mesh.up()
        for address in addresses.values():
            assert not _open(mesh, address, 22)
            assert _open(mesh, address, 2222)
    assert {name: each.shut for name, each in knocks.items()} == {name: [] for name in NODES}
    assert all(set(each.answered) == {22, 2222} for each in knocks.values())
    assert _nothing_left(mesh)
    assert _server_ids(mesh) == before
    check = mesh.command(".venv/bin/python", "-m", "mesh", "check")
    assert check.code == 0, check.out
    assert mesh.reach().code == 0
