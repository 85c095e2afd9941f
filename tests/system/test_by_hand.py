"""What somebody changed in the cloud, behind the stack's back, is noticed and made whole."""

import re
import sys
from collections.abc import Iterator

import pytest
from hcloud import Client
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from hcloud.servers import ServerCreatePublicNetwork

from tests.system.world import World

pytestmark = pytest.mark.hosts


@pytest.fixture(scope="module")
def mesh(world: World) -> World:
    world.up()
    return world


@pytest.fixture
def cloud(mesh: World) -> Iterator[Client]:
    """The cloud's API, as the provider's own console uses it; the mesh is whole before and after."""
    yield mesh.cloud()
    reach = mesh.reach()
    assert reach.code == 0, reach.out
    assert mesh.lab("run", "preview", "--expect-no-changes").code == 0


@pytest.mark.long
def test_a_deleted_server_is_made_again_at_its_address_and_configured_from_the_start(
    mesh: World, cloud: Client
) -> None:
    before = mesh.outputs()["nodes"]
    mesh.delete_server("lab-web-1")
    assert "web-1-server" in mesh.ok("refresh", "--yes", "--skip-preview")
    printed = mesh.up()
    assert "hcloud:index/server:Server web-1-server created" in printed
    assert "web-2-apply" not in printed, "the others have nothing to do: address and key are the same"
    assert mesh.outputs()["nodes"] == before


@pytest.mark.long
def test_one_up_with_refresh_does_the_same(mesh: World, cloud: Client) -> None:
    mesh.delete_server("lab-db-1")
    assert "db-1-server created" in mesh.ok("up", "--yes", "--skip-preview", "--refresh")


def test_a_stopped_server_is_noticed_previewed_and_started(mesh: World, cloud: Client) -> None:
    server = cloud.servers.get_by_name("lab-db-1")
    assert server is not None
    server.power_off().wait_until_finished()
    mesh.ok("refresh", "--yes", "--skip-preview")
    steps = {step["urn"].rsplit("::", 1)[1]: step for step in mesh.json("preview", "--json")["steps"]}
    assert {name: step["op"] for name, step in steps.items() if step["op"] != "same"} == {
        "db-1-power": "create"
    }
    assert steps["db-1-power"]["newState"]["inputs"]["input"] == "off: will be started"
    assert "lab-db-1 is off: starting the server" in mesh.up()
    assert mesh.lab("run", "preview", "--expect-no-changes").code == 0
    mesh.ok("up", "--yes", "--skip-preview", "--refresh")


@pytest.mark.long
def test_a_stopped_server_with_other_changes_is_started_before_them(mesh: World, cloud: Client) -> None:
    server = cloud.servers.get_by_name("lab-web-1")
    assert server is not None
    server.power_off().wait_until_finished()
    mesh.edit_mesh(lambda m: m["nodes"]["web-1"].update(public=["tcp/8444"]))
    mesh.ok("up", "--yes", "--skip-preview", "--refresh")
    assert "8444" in mesh.on("web-1", "nft list table inet wgmesh")
    mesh.ok("up", "--yes", "--skip-preview", "--refresh")


@pytest.mark.long
def test_a_rebuilt_server_is_replaced_on_request_and_configured_from_the_start(
    mesh: World, cloud: Client
) -> None:
    server = cloud.servers.get_by_name("lab-web-2")
    image = cloud.images.get_by_name_and_architecture("debian-12", "x86")
    assert server is not None
    assert image is not None
    server.rebuild(image).action.wait_until_finished()
    resources = mesh.json("stack", "export")["deployment"]["resources"]
    (urn,) = [resource["urn"] for resource in resources if resource["urn"].endswith("::web-2-server")]
    assert "web-2-apply" in mesh.ok("up", "--yes", "--skip-preview", "--replace", urn)


@pytest.mark.long
def test_a_removed_address_is_replaced_and_every_node_learns_the_new_one(mesh: World, cloud: Client) -> None:
    before = mesh.outputs()["nodes"]["db-1"]["public_ip"]
    address = cloud.primary_ips.get_by_name("lab-db-1")
    assert address is not None
    mesh.delete_server("lab-db-1")
    address.delete()
    somebody = cloud.primary_ips.create(
        "ipv4", "somebody-elses", location=cloud.locations.get_by_name("nbg1")
    )
    mesh.ok("up", "--yes", "--skip-preview", "--refresh")
    after = mesh.outputs()["nodes"]["db-1"]["public_ip"]
    somebody.primary_ip.delete()
    assert after != before
    assert f"Endpoint = {after}:51820" in mesh.on("web-1", "cat /etc/wireguard/wg0.conf")


@pytest.mark.long
def test_a_host_that_reboots_during_up_is_configured_all_the_same(mesh: World, cloud: Client) -> None:
    mesh.edit_mesh(lambda m: m["nodes"]["web-1"].update(public=["tcp/8443"]))
    mesh.on("web-1", "systemd-run -q --on-active=1s systemctl reboot")
    run = mesh.lab("run", "up", "--yes", "--skip-preview")
    if run.code:  # the reboot came in the middle of the trial
        mesh.up()
    assert "8443" in mesh.on("web-1", "nft list table inet wgmesh")
    assert mesh.on("web-1", "systemctl is-active wg-quick@wg0").strip() == "active"
    mesh.up()  # takes away the cloud's firewall that the server has left


class Impostor:
    """Another machine at a node's address. It would take the stack's SSH key; its host key is its own.

    Once it is gone, the node is made again at its address, and configured from the start.
    """

    def __init__(self, mesh: World, cloud: Client) -> None:
        self._mesh = mesh
        self._before = mesh.outputs()["nodes"]
        address = cloud.primary_ips.get_by_name("lab-db-1")
        key = cloud.ssh_keys.get_by_name("lab-management")
        assert key is not None
        mesh.delete_server("lab-db-1")
        made = cloud.servers.create(
            name="impostor",
            server_type=ServerType(name="cx23"),
            image=Image(name="debian-12"),
            location=Location(name="nbg1"),
            ssh_keys=[key],
            public_net=ServerCreatePublicNetwork(ipv4=address, enable_ipv4=True, enable_ipv6=False),
        )
        for action in (made.action, *made.next_actions):
            action.wait_until_finished()
        assert self.run("cloud-init status --wait; systemctl is-active ssh").endswith("active\n")

    def run(self, script: str) -> str:
        enter = f"{sys.executable} -m lab.hosts enter --state .lab/cloud impostor --"
        return self._mesh.command(*enter.split(), "sh", "-c", script).out

    def end(self) -> None:
        self._mesh.delete_server("impostor")
        printed = self._mesh.ok("up", "--yes", "--skip-preview", "--refresh")
        assert "Server db-1-server created" in printed
        assert "web-2-apply upd" not in printed, "the others have nothing to do: address and key are the same"
        assert self._mesh.outputs()["nodes"] == self._before


@pytest.fixture
def impostor(mesh: World, cloud: Client) -> Iterator[Impostor]:
    there = Impostor(mesh, cloud)
    yield there
    there.end()


def test_another_machine_at_a_nodes_address_is_sent_nothing(mesh: World, impostor: Impostor) -> None:
    resources = mesh.json("stack", "export")["deployment"]["resources"]
    dialled = 0
    for step in ("apply", "keys"):
        (urn,) = [each["urn"] for each in resources if each["urn"].endswith(f"::db-1-{step}")]
        run = mesh.lab("run", "up", "--yes", "--skip-preview", "--replace", urn)
        assert run.code == 1
        assert "db-1: the host key is not the one that this stack installed" in run.out, step
        assert "Nothing was sent." in run.out
        assert re.search(r"`pulumi up --replace '\S+::db-1-server'`", run.out), run.out
        heard = impostor.run("journalctl -q -o cat -t sshd")
        assert "Accepted" not in heard
        before, dialled = dialled, len(re.findall("Host key|Connection", heard))
        assert dialled > before, f"{step} has not dialled"
