"""A mesh moves to another network while connections are open, one node is away, and another is restarted."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab.testing import wait
from tests.system.world import World

pytestmark = pytest.mark.hosts

NAMES = {"web-1": 1, "web-2": 2, "db-1": 11}
_SERVE = """
import socket, threading
def echo(each):
    while got := each.recv(100):
        each.sendall(got)
server = socket.create_server(("", 7001))
while True:
    threading.Thread(target=echo, args=(server.accept()[0],)).start()
"""
# Says something a hundred times a second until it is told to stop, and waits a minute for each answer.
_TALK = """
import os, socket, sys, time
with socket.create_connection((sys.argv[1], 7001), timeout=60) as talk:
    said = 0
    while not os.path.exists(sys.argv[2]):
        word = b"%08d" % said
        talk.sendall(word)
        got = b""
        while len(got) < 8:
            part = talk.recv(8 - len(got))
            assert part, "the connection ended"
            got += part
        assert got == word, (got, word)
        said += 1
        time.sleep(0.01)
    print(talk.getsockname()[0], talk.getpeername()[0], said)
"""


def _moved(mesh: dict[str, Any]) -> None:
    mesh["cidr"] = "10.20.0.0/24"
    for name, node in mesh["nodes"].items():
        node["address"] = f"10.20.0.{NAMES[name]}"


@contextmanager
def _talking(world: World, name: str, spoken: list[str]) -> Iterator[None]:
    """Keep a connection from web-1 to db-1, by its name; adds what it was when it ends."""
    ends = f"/run/end-{name}"
    talk = world.background("web-1", f"rm -f {ends}; exec python3 -c '{_TALK}' db-1 {ends}")
    try:
        world.on("web-1", "sleep 1")
        yield
    finally:
        world.on("web-1", f"touch {ends}")
        spoken.append(talk.communicate(timeout=90)[0].strip())


def _addresses(world: World, node: str) -> list[str]:
    shown = world.on(node, "ip -o -4 address show wg0").splitlines()
    return sorted(line.split()[3] for line in shown)


def _leads(world: World, node: str) -> str:
    return world.on(node, "getent hosts db-1 | cut -d' ' -f1").strip()


@pytest.mark.long
def test_a_mesh_moves_to_another_network_and_no_connection_ends(world: World) -> None:
    world.bring()
    keys = world.on("web-1", "wg show wg0 peers | sort")
    world.on("db-1", f"systemd-run -q --unit=talk python3 -c '{_SERVE}'; sleep 1")
    spoken: list[str] = []
    with _talking(world, "former", spoken):
        world.edit_mesh(_moved)
        preview = world.ok("preview")
        assert "new address in the mesh. The nodes keep the former address beside the new one" in preview
        assert "cut off" not in preview
        world.on("web-2", "systemctl stop ssh")
        assert world.lab("run", "up", "--yes", "--skip-preview", "--continue-on-error").code == 1
        assert _addresses(world, "db-1") == ["10.10.0.11/24", "10.20.0.11/24"]
        assert _addresses(world, "web-2") == ["10.10.0.2/24"]
        world.on("web-2", "systemctl start ssh")
        assert "names lead to the former one" in world.up()
        assert {_leads(world, node) for node in ("web-1", "web-2")} == {"10.10.0.11"}
        assert _addresses(world, "web-2") == ["10.10.0.2/24", "10.20.0.2/24"]
        run = world.reach()
        assert run.code == 0, run.out
        _reboot(world)
        assert "names now lead to the new address in the mesh" in world.up()
        assert {_leads(world, node) for node in ("web-1", "web-2")} == {"10.20.0.11"}
        preview = world.ok("preview")
        for name, number in NAMES.items():
            assert f"{name} gives up its former address 10.10.0.{number} in the mesh" in preview
    with _talking(world, "new", spoken):
        world.up()
    assert [each.split()[:2] for each in spoken] == [["10.10.0.1", "10.10.0.11"], ["10.20.0.1", "10.20.0.11"]]
    assert all(int(each.split()[2]) > 50 for each in spoken)
    for name, number in NAMES.items():
        assert _addresses(world, name) == [f"10.20.0.{number}/24"]
    assert "10.10." not in world.on("db-1", "cat /etc/wireguard/wg0.conf /etc/hosts /etc/wgmesh/firewall.nft")
    assert world.on("web-1", "wg show wg0 peers | sort") == keys
    assert world.lab("run", "preview", "--expect-no-changes").code == 0
    run = world.reach()
    assert run.code == 0, run.out


def _reboot(world: World) -> None:
    """Restart web-2 while the nodes have both addresses: both are there again, the former one first."""
    world.on("web-2", "touch /run/before; systemctl reboot", check=False)
    works = "! test -e /run/before && systemctl is-active wg-quick@wg0 && echo back"
    wait(lambda: "back\n" in world.on("web-2", works, check=False), 120)
    assert _addresses(world, "web-2") == ["10.10.0.2/24", "10.20.0.2/24"]
    assert "src 10.10.0.2" in world.on("web-2", "ip route get 10.10.0.11")
    world.on("web-2", "ping -n -c 1 -W 5 10.10.0.11 && ping -n -c 1 -W 5 10.20.0.11")
