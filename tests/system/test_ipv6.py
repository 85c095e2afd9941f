"""IPv6 in a mesh that runs: added, used by a policy, kept over a reboot, and taken away again."""

import json
import re
import sys
from typing import Any

import pytest

from lab.testing import wait
from tests.system.world import World

pytestmark = pytest.mark.hosts

SIX = {"web-1": "fd1a:2b3c:4d5e::1", "web-2": "fd1a:2b3c:4d5e::2", "db-1": "fd1a:2b3c:4d5e::d"}
"""db-1 has an address of its own, the others the host part of IPv4."""


LISTEN = """
import socket
with socket.create_server(("::", {port}), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    while True:
        server.accept()[0].close()
"""


def _add(mesh: dict[str, Any]) -> None:
    mesh["cidr6"] = "fd1a:2b3c:4d5e::/64"
    mesh["nodes"]["db-1"]["address6"] = SIX["db-1"]


def _take_away(mesh: dict[str, Any]) -> None:
    del mesh["cidr6"]
    del mesh["nodes"]["db-1"]["address6"]


def _under_a_policy(mesh: dict[str, Any]) -> None:
    mesh["policy"] = [{"from": ["web-1"], "to": ["db-1"], "allow": ["tcp/7001"]}]


def _lost_while(world: World, change: Any) -> int:
    """Change the mesh while web-1 pings db-1 in IPv4; returns how many answers are missing."""
    world.edit_mesh(change)
    pings = world.background("web-1", "exec ping -n -i 0.01 -w 300 -I wg0 10.10.0.11")
    try:
        world.up()
    finally:
        world.on("web-1", "sleep 2; pkill -INT -x ping", check=False)
    printed = pings.communicate(timeout=60)[0]
    answered = {int(number) for number in re.findall(r"bytes from .* icmp_seq=(\d+) ", printed)}
    assert len(answered) > 200, "the ping did not run throughout the change"
    return max(answered) - len(answered)


def _open(world: World, source: str, *addresses: str) -> list[str]:
    tries = (f"nc -z -w 3 {to} {port} && echo {to} {port}" for to in addresses for port in (7001, 7002))
    return world.on(source, f"{'; '.join(tries)}; true").splitlines()


@pytest.mark.long
def test_ipv6_comes_to_a_running_mesh_and_goes_again(world: World) -> None:
    world.bring()
    keys = world.on("web-1", "wg show wg0 peers | sort")
    assert _lost_while(world, _add) == 0
    assert world.on("web-1", "wg show wg0 peers | sort") == keys
    run = world.reach()
    assert run.code == 0, run.out
    assert "all 6 pairs reach each other in IPv4 and IPv6" in run.out
    told = world.command(sys.executable, "-m", "mesh", "reach", "--json", "--via", world.via("{node}"))
    assert sum(len(times) for times in json.loads(told.out)["pairs6"].values()) == 6
    names = "getent ahosts db-1 | cut -d' ' -f1 | sort -u"
    assert world.on("web-1", names).split() == ["10.10.0.11"]
    assert "the next `up` adds the IPv6 addresses" not in world.up()
    assert world.on("web-1", names).split() == ["10.10.0.11", SIX["db-1"]]
    assert world.lab("run", "preview", "--expect-no-changes").code == 0
    _policy(world)
    _reboot(world)
    world.edit_mesh(_take_away)
    preview = world.ok("preview")
    for node, own in SIX.items():
        assert f"{node} loses its IPv6 address in the mesh, {own}: connections to it are cut off" in preview
    world.edit_mesh(_add)
    assert _lost_while(world, _take_away) == 0
    assert (
        world.on(
            "web-1", "ip -o -6 address show wg0 scope global; wg show wg0 allowed-ips | grep -c fd1a; true"
        )
        == "0\n"
    )


def _policy(world: World) -> None:
    world.edit_mesh(_under_a_policy)
    world.up()
    for port in (7001, 7002):
        world.on("db-1", f"systemd-run -q --unit=t{port} python3 -c '{LISTEN.format(port=port)}'")
    world.on("db-1", "sleep 1")
    assert _open(world, "web-1", "10.10.0.11", SIX["db-1"]) == ["10.10.0.11 7001", f"{SIX['db-1']} 7001"]
    assert _open(world, "web-2", "10.10.0.11", SIX["db-1"]) == []


def _reboot(world: World) -> None:
    world.on("web-2", "touch /run/before; systemctl reboot", check=False)
    works = "! test -e /run/before && systemctl is-active wg-quick@wg0 && echo back"
    wait(lambda: "back\n" in world.on("web-2", works, check=False), 120)
    run = world.reach()
    assert run.code == 0, run.out
    assert "in IPv4 and IPv6" in run.out
