"""Servers that are there already as nodes: beside a cloud's, with packets, and left as they were."""

from collections.abc import Iterator

import pytest

from tests.system.static import LOOK, Server, boot, store
from tests.system.world import World

pytestmark = pytest.mark.hosts


@pytest.fixture
def server(world: World) -> Iterator[tuple[Server, str]]:
    """A server that lets a user with sudo in, and root not at all."""
    made = boot(world, "own1", 201, user="ops")
    yield made
    made[0].lab.destroy(made[0].key)


def test_a_life_of_a_server_that_was_there_before(world: World, server: tuple[Server, str]) -> None:
    own, key = server
    before = own.inside(LOOK)
    store(world, "firstKey", key)
    node = own.node("10.10.0.2", user="ops", firstKey="firstKey")

    # somebody else's tunnel: refused by name, and nothing is changed
    own.inside("ip link add wg7 type wireguard && ip addr add 10.10.0.77/24 dev wg7")
    world.edit_mesh(lambda mesh: mesh.update(nodes={"web-1": {"address": "10.10.0.1"}, "rack-1": node}))
    refused = world.lab("run", "up", "--yes", "--skip-preview")
    assert refused.code != 0
    assert "rack-1: the WireGuard interface wg7 of the server" in refused.out
    assert "10.10.0.77/24 in 10.10.0.0/24, the network of the mesh" in refused.out
    own.inside("ip link del wg7; rm -r /var/lib/wgmesh")
    assert own.inside(LOOK) == before

    # both kinds of nodes in one mesh, with packets
    world.up()
    reach = world.command("python", "-m", "mesh", "reach")
    assert "all 2 pairs reach each other" in reach.out, reach.out
    assert "Diff" not in world.up()
    assert key.splitlines()[2] not in world.command("cat", ".lab/pulumi/state.json").out

    # it does not answer when it is to leave: nothing is done, and the run says how to go on
    world.edit_mesh(lambda mesh: mesh["nodes"].pop("rack-1"))
    own.lab.stop(own.key, graceful=False)
    silent = world.lab("run", "up", "--yes", "--skip-preview")
    assert silent.code != 0
    assert "rack-1 leaves the mesh, but SSH does not answer on its server" in silent.out
    assert "pulumi state delete 'urn:pulumi:lab::wireguard-mesh::" in silent.out
    own.lab.start(own.key)
    own.await_boot()

    # it leaves, and is as it was
    print(world.up())
    assert own.inside(LOOK) == before
