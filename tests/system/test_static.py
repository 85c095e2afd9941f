"""Servers that are there already as nodes: beside a cloud's, with packets, and left as they were."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.hosts.image import image_path
from lab.hosts.repository import build_repository, offer
from lab.testing import REPOSITORY
from tests.system.static import LOOK, Server, boot, differences, store
from tests.system.world import World

pytestmark = pytest.mark.hosts

PACKAGES = REPOSITORY / ".lab" / "packages"


@pytest.fixture
def server(world: World) -> Iterator[tuple[Server, str]]:
    """A server that lets root in with one key."""
    made = boot(world, "own1", 201)
    yield made
    made[0].lab.destroy(made[0].key)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An SSH agent without a key."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    yield socket
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=10)


def test_a_server_joins_a_mesh_and_leaves_as_it_was(world: World, server: tuple[Server, str]) -> None:
    own, key = server
    before = own.inside(LOOK)
    store(world, "firstKey", key)
    nodes = {"web-1": {"address": "10.10.0.1"}, "rack-1": own.node("10.10.0.2", firstKey="firstKey")}
    world.edit_mesh(lambda mesh: mesh.update(nodes=nodes))
    world.up()
    reach = world.command(sys.executable, "-m", "mesh", "reach")
    assert "all 2 pairs reach each other" in reach.out, reach.out
    assert "unchanged" in world.up()
    assert key.splitlines()[2] not in world.ok("stack", "export")

    world.edit_mesh(lambda mesh: mesh["nodes"].pop("rack-1"))
    removed = world.up()
    assert f"rack-1 is not in the stack file any more: its server {own.address} runs `leave`" in removed
    assert differences(before, own.inside(LOOK)) == []


@pytest.mark.long
def test_a_user_with_sudo_and_an_agent_is_enough(world: World, agent: Path) -> None:
    own, key = boot(world, "own2", 202, user="ops")
    try:
        root = image_path(REPOSITORY / ".lab" / "image", "debian-12")
        offer(own.lab, own.key, build_repository(PACKAGES, root, "debian-12", ["sudo"], print))
        own.inside(
            "apt-get -qq update && apt-get -qq -y -o DPkg::Options::=--force-confold install sudo"
            " && echo 'ops ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/ops"
        )
        before = own.inside(LOOK)
        node = own.node("10.10.0.2", user="ops", kind="ecdsa")
        world.edit_mesh(lambda mesh: mesh.update(nodes={"rack-1": node}))

        refused = world.lab("run", "up", "--yes", "--skip-preview")
        assert refused.code != 0
        assert "does your SSH agent (`ssh-add -l`)" in refused.out
        subprocess.run(
            ["ssh-add", "-q", "-"], input=key, text=True, check=True, env={"SSH_AUTH_SOCK": str(agent)}
        )

        # somebody else's tunnel is refused by name, and nothing is changed
        own.inside("wireguard-go wg7 && ip addr add 10.10.0.77/24 dev wg7 && ip link set wg7 up")
        refused = world.lab("run", "up", "--yes", "--skip-preview")
        assert refused.code != 0
        assert "rack-1: the WireGuard interface wg7 of the server, which is not of this mesh" in refused.out
        assert "10.10.0.77/24 in 10.10.0.0/24, the network of the mesh" in refused.out
        own.inside("ip link del wg7")
        assert differences(before, own.inside(LOOK)) == []

        world.up()
        assert own.inside("wg show wg0 listen-port") == "51820\n"
        _goes_while_it_does_not_answer(world, own)
        world.ok("destroy", "--yes", "--skip-preview")
        assert differences(before, own.inside(LOOK)) == []
    finally:
        own.lab.destroy(own.key)


def _goes_while_it_does_not_answer(world: World, own: Server) -> None:
    """Nothing is done, and the run says how to go on; then the server is back."""
    world.edit_mesh(lambda mesh: mesh.update(nodes={"web-1": {"address": "10.10.0.1"}}))
    own.lab.stop(own.key)
    silent = world.lab("run", "up", "--yes", "--skip-preview")
    assert silent.code != 0
    assert "rack-1 leaves the mesh, but SSH does not answer on its server" in silent.out
    assert "pulumi state delete 'urn:pulumi:lab::wireguard-mesh::" in silent.out
    own.lab.start(own.key)
    own.await_boot()
