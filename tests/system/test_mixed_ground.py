"""Twelve hosts as people have them, in one mesh: every ordered pair in both families, and full-size packets.

Nodes without IPv4 fetch a page of the IPv4 internet over other nodes.

Two releases of Debian; public addresses of one family and of both; a private network; underlays of three
sizes; two servers that were there before, one of them behind NAT.
"""

import json
import sys
from ipaddress import IPv6Network
from itertools import permutations
from typing import Any

import pytest

from lab.hosts import Nat
from lab.hosts.image import build_image
from lab.testing import REPOSITORY
from tests.system.static import Server, boot, store
from tests.system.world import World

pytestmark = [pytest.mark.hosts, pytest.mark.long]

DUAL = {"publicIpv6": True}
# Less 80, these are multiples of 16: wireguard-go pads full-size packets to these (docs/mtu.md).
CLOUD: dict[str, dict[str, Any]] = {
    "dual-1": DUAL,
    "dual-2": DUAL,
    "dual-3": {**DUAL, "image": "debian-13"},
    "slow-1": {**DUAL, "underlayMtu": 1392},
    "slow-2": {**DUAL, "underlayMtu": 1392, "image": "debian-13"},
    "slow-3": {**DUAL, "underlayMtu": 1440},
    "net-1": {**DUAL, "network": "backbone"},
    "net-2": {**DUAL, "network": "backbone"},
    "six-1": {"publicIpv4": False, "publicIpv6": True, "egress": "dual-1"},
    "six-2": {"publicIpv4": False, "publicIpv6": True, "network": "backbone", "egress": "net-1"},
}
NAMES = [*CLOUD, "rack-1", "home-1"]
RACK, HOME = "2001:db8:77:1::/64", "2001:db8:77:2::/64"
_PRIVATE = 1450  # Hetzner's networks
_FULL = 1500
_WIREGUARD = 80


def _underlay(one: str, other: str) -> int:
    """How large a packet gets from one to the other."""
    if {one, other} <= {name for name, node in CLOUD.items() if "network" in node}:
        return _PRIVATE
    return min(int(CLOUD.get(name, {}).get("underlayMtu", _FULL)) for name in (one, other))


def _mesh(rack: Server, home: Server) -> dict[str, Any]:
    nodes = {
        name: {"address": f"10.10.0.{number}", **node} for number, (name, node) in enumerate(CLOUD.items(), 2)
    }
    nodes["rack-1"] = rack.node("10.10.0.31", firstKey="rackKey", hostIpv6=_first(RACK))
    nodes["home-1"] = home.node("10.10.0.32", firstKey="homeKey", hostIpv6=_first(HOME), endpoint="none")
    return {
        "cidr": "10.10.0.0/24",
        "cidr6": "fd1a:2b3c:4d5e::/64",
        "networks": {"backbone": {"cidr": "10.0.0.0/16"}},
        "defaults": {"location": "fsn1", "type": "cx23", "image": "debian-12"},
        "nodes": nodes,
    }


def _first(network: str) -> str:
    return str(IPv6Network(network)[1])


def _told(world: World, *words: str) -> Any:
    run = world.command(sys.executable, "-m", "mesh", *words)
    assert run.code == 0, run.out
    return json.loads(run.out)


def _fetches(world: World, page: Server) -> None:
    """Have the nodes without IPv4 fetch a page; its server sees the node that passes their packets on."""
    page.inside("systemd-run -q --unit=page python3 -m http.server 80 --directory /etc; sleep 2")
    public = {name: facts["public_ip"] for name, facts in world.outputs()["nodes"].items()}
    get = f"import urllib.request; print(urllib.request.urlopen('http://{page.address}/hostname').read())"
    for name in ("six-1", "six-2"):
        assert "own-page" in world.on(name, f'python3 -c "{get}"')
    seen = page.inside("journalctl -q -o cat -u page").splitlines()
    assert [line.split()[0] for line in seen if "GET /hostname" in line] == [
        public[CLOUD[name]["egress"]] for name in ("six-1", "six-2")
    ]


def test_twelve_hosts_on_mixed_ground_are_one_mesh(world: World) -> None:
    build_image(REPOSITORY / ".lab" / "image", "debian-13", print)
    rack, rack_key = boot(world, "rack", 201, network6=RACK)
    home, home_key = boot(world, "home", 202, image="debian-13", network6=HOME)
    page, _key = boot(world, "page", 203)
    try:
        home.lab.set_nat(home.key, Nat(outside=str(home.lab.pool[240])))
        store(world, "rackKey", rack_key)
        store(world, "homeKey", home_key)
        world.edit_mesh(lambda mesh: mesh.update(_mesh(rack, home)))
        world.up()
        for name, node in CLOUD.items():
            if "underlayMtu" in node:
                world.hosts.set_link_size(world.hosts.find(f"lab-{name}"), node["underlayMtu"])
        wanted = set(permutations(NAMES, 2))
        assert len(wanted) == 132
        pings = _told(world, "reach", "--json")
        for family in ("pairs", "pairs6"):
            times = {(one, other): time for one, to in pings[family].items() for other, time in to.items()}
            assert {pair for pair, time in times.items() if time is not None} == wanted, family
        paths = _told(world, "reach", "--mtu", "--json")["pairs"]
        found = {(one, other): path["passes"] for one, to in paths.items() for other, path in to.items()}
        assert found == {pair: _underlay(*pair) - _WIREGUARD for pair in wanted}
        _fetches(world, page)
        check = world.command(sys.executable, "-m", "mesh", "check")
        assert check.code == 0, check.out
        assert "unchanged" in world.up()
    finally:
        for server in (rack, home, page):
            server.lab.destroy(server.key)
