"""Two nodes that nobody can call, in both families: over a relay, then left out by links."""

import sys
from typing import Any

import pytest

from tests.system.world import World

pytestmark = [pytest.mark.hosts, pytest.mark.long]

PASSED = "nft list chain inet wgmesh forward_mesh"
FORWARDING = "sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding | tr '\\n' ' '"


def _behind_nat(mesh: dict[str, Any]) -> None:
    mesh["cidr6"] = "fd1a:2b3c:4d5e::/64"
    mesh["nodes"]["web-2"] |= {"endpoint": "none", "relay": "web-1"}
    mesh["nodes"]["db-1"] |= {"endpoint": "none"}


def _apart(mesh: dict[str, Any]) -> None:
    mesh["links"] = [["web-1", "all"]]
    del mesh["nodes"]["web-2"]["relay"]


def test_a_relay_carries_both_families_and_ends_without_a_trace(world: World) -> None:
    world.bring()
    before = world.on("web-1", FORWARDING)
    world.edit_mesh(_behind_nat)
    preview = world.ok("preview", "--diff")
    assert "# relay to db-1: 10.10.0.11, fd1a:2b3c:4d5e::b" in preview
    world.up()
    world.up()
    assert world.on("web-1", FORWARDING) == "1 1 "
    reach = world.reach().out
    assert "all 6 pairs reach each other in IPv4 and IPv6" in reach, reach
    assert "10.10.0.11/32" not in world.on("web-2", "wg show wg0 endpoints; ip route show proto 87")
    checked = world.command(sys.executable, "-m", "mesh", "check")
    assert checked.code == 0, checked.out

    world.edit_mesh(_apart)
    world.up()
    assert world.on("web-1", FORWARDING) == before
    assert "all 4 pairs" in world.reach().out
    assert "unchanged" in world.up()
