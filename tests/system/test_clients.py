"""A laptop on a host of the lab: the file of `mesh client`, whom the laptop reaches, its end in one run."""

import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.testing import REPOSITORY, wait
from tests.system.projects import Project, write_program
from tests.system.simulated import simulated
from tests.system.static import Server, boot
from tests.system.world import World

pytestmark = pytest.mark.hosts

WEB_1, WEB_1_IN_IPV6, DB_1 = "10.10.0.1", "fd1a:2b3c:4d5e::1", "10.10.0.11"


@pytest.fixture
def laptop(world: World) -> Iterator[Server]:
    world.bring()
    device, _ = boot(world, "laptop", 60)
    yield device
    world.hosts.destroy("laptop")


def _with_people(mesh: dict[str, Any]) -> None:
    mesh["cidr6"] = "fd1a:2b3c:4d5e::/64"
    mesh["clients"] = {"laptop": {"address": "10.10.0.200", "to": ["web-1"], "groups": ["people"]}}
    mesh["policy"] = [
        {"from": ["people"], "to": ["web-1"], "allow": ["tcp/7001"]},
        {"from": ["all"], "to": ["all"], "allow": ["tcp/22"]},
    ]


def _without(mesh: dict[str, Any]) -> None:
    del mesh["clients"]
    del mesh["policy"][0]


def _pings(device: Server, address: str) -> bool:
    return device.run(f"ping -n -c 1 -W 2 {address}").returncode == 0


def _opened(device: Server, address: str) -> list[int]:
    tries = (f"nc -z -w 3 {address} {port} && echo {port}" for port in (7001, 7002))
    return [int(port) for port in device.run("; ".join(tries)).stdout.split()]


@pytest.mark.long
def test_a_laptop_reaches_its_node_until_it_is_taken_out(world: World, laptop: Server) -> None:
    world.edit_mesh(_with_people)
    world.up()
    world.up()  # names lead to IPv6 from now on
    file = world.folder / "laptop.conf"
    said = world.command(sys.executable, "-m", "mesh", "client", "laptop", "--output", str(file))
    assert said.code == 0, said.out
    private = next(line for line in file.read_text().splitlines() if line.startswith("PrivateKey"))
    assert private.partition(" = ")[2] not in said.out
    laptop.inside(f"umask 77; cat >/etc/wireguard/home.conf <<'END'\n{file.read_text()}END\nwg-quick up home")
    wait(lambda: _pings(laptop, WEB_1), 60)
    assert _pings(laptop, WEB_1_IN_IPV6)
    for port in (7001, 7002):
        world.on("web-1", f"systemd-run -q --unit=listen-{port} nc -6 -lk {port}")
    wait(lambda: 7001 in _opened(laptop, WEB_1), 60)
    assert [_opened(laptop, address) for address in (WEB_1, WEB_1_IN_IPV6)] == [[7001], [7001]]
    assert not _pings(laptop, DB_1)
    assert world.lab("run", "preview", "--diff").code == 0

    world.edit_mesh(_without)
    world.up()
    assert not _pings(laptop, WEB_1)
    assert not _pings(laptop, WEB_1_IN_IPV6)
    assert _opened(laptop, WEB_1) == []
    assert "10.10.0.200" not in world.on("web-1", "wg show wg0 allowed-ips; nft list table inet wgmesh")
    assert "unchanged" in world.up()


def test_the_program_of_the_project_exports_what_a_device_needs(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    write_program(folder, (REPOSITORY / "__main__.py").read_text())
    mesh: dict[str, Any] = {"cidr": "10.10.0.0/24", "nodes": {"web-1": {"address": WEB_1}}}
    with simulated(tmp_path / "cloud") as cloud:
        project = Project(cloud=cloud, folder=folder, packages=REPOSITORY)
        project.create({"mesh": mesh})
        project.up()
        assert project.outputs().keys() == {"nodes", "ssh_private_key", "wireguard_mesh"}
        project.configure(
            {"mesh": {**mesh, "clients": {"laptop": {"address": "10.10.0.200", "to": ["web-1"]}}}}
        )
        project.up()
        (laptop,) = project.outputs()["clients"].values()
        assert len(b64decode(laptop["private_key"])) == 32
        assert laptop["private_key"] not in project.engine("stack", "output")
