"""Networks of four sizes below one mesh: the agent's routes, full-size packets, a path that narrows."""

import asyncio
import copy
import sys
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from mesh.cli.paths import Paths, probe
from mesh.cli.paths_table import holes_in_words
from mesh.host.files.generation import as_generation
from mesh.host.live.device import wanted_device, wanted_link
from mesh.host.places import Places
from mesh.host.trial.undo import Snapshot
from mesh.host.trial.way_back import plain_commands
from mesh.host.tunnel import WG0
from mesh.outputs import MeshOutputs, NodeOutputs
from tests.spaces import Space
from tests.tunnels.agent import CONF, NEEDS_PING, PING, PROGRAM, bring, converge, unbroken
from tests.tunnels.world import Node, World, until, world

pytestmark = NEEDS_PING

SIZES = {"net": 1450, "vswitch": 1400, "least": 1280}
MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "nodes": {
        "web": {"address": "10.10.0.1", "forward": True, "trustedInterfaces": ["lan0"]},
        **{
            name: {"address": f"10.10.0.{number}", "underlayMtu": size}
            for number, (name, size) in enumerate(SIZES.items(), 2)
        },
    },
}
_COMPARE = """
import sys
sys.path.insert(0, sys.argv[1])
from mesh.host.files.wgconf import parse_wg_file
from mesh.host.live.device import link_differences, wanted_link
from mesh.host.live.interface import read_link
from mesh.host.tunnel import WG0
wanted = wanted_link(parse_wg_file(sys.stdin.read(), where="wg0.conf"))
found = link_differences(read_link(WG0, wanted.routes), wanted)
print(*found, sep="\\n", end="")
"""
# A path that drops what tells of it: as behind many a firewall.
_SILENT = """
table inet silent
delete table inet silent
table inet silent {
    chain output {
        type filter hook output priority filter;
        icmp type destination-unreachable icmp code frag-needed drop
    }
}
"""

_AWAY = """
table inet away {
    chain forward {
        type filter hook forward priority filter;
        udp dport 51820 drop
    }
}
"""


def _narrow(place: World, name: str, size: int) -> None:
    """Let a node's link carry less than the node's own interface says."""
    place.router.run("ip", "link", "set", f"to-{name}", "mtu", str(size))


@pytest.fixture(scope="module")
def built() -> Iterator[World]:
    with world(MESH, PROGRAM) as built:
        built.router.run("nft", "-f", "-", stdin=_SILENT)
        yield built


@pytest.fixture
def place(built: World) -> World:
    for name in built.nodes:
        _narrow(built, name, SIZES.get(name, 1500))
    bring(built, MESH)
    until(lambda: all(one.pings(other) for one, other in permutations(built.nodes.values(), 2)))
    return built


def _probe(place: World) -> Paths:
    """What `mesh reach --mtu` finds, with the commands that it sends to the nodes."""
    nodes = {
        name: NodeOutputs(
            name=name,
            address=node.inner,
            public_ip=node.outer,
            public_key="",
            host_key="",
            enabled=True,
            ssh_port=22,
        )
        for name, node in place.nodes.items()
    }

    async def run(node: NodeOutputs, command: str) -> str:
        there = place.nodes[node.name]
        path = f"PATH={Path(PING).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        process = await asyncio.create_subprocess_exec(
            *there.argv("env", path, "sh", "-c", command), stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await process.communicate()
        return printed.decode()

    return asyncio.run(probe(MeshOutputs(nodes=nodes, unmade={}, ssh_private_key=""), run))


def _routes(node: Node) -> str:
    return node.run("ip", "route", "show", "dev", "wg0", "proto", "87")


def _mtu(node: Node) -> int:
    return int(node.run("ip", "link", "show", "dev", "wg0").split(" mtu ")[1].split()[0])


def test_full_packets_pass_between_all_nodes_whatever_is_below(place: World) -> None:
    paths = _probe(place)
    assert paths.holes == {}
    sizes = {pair: path.mtu for pair, path in paths.pairs.items() if path is not None}
    known = {"web": 1500, **SIZES}
    assert sizes == {(a, b): min(known[a], known[b]) - 80 for a, b in permutations(known, 2)}


def test_a_path_that_became_narrower_is_found_with_the_size_that_passes(place: World) -> None:
    _narrow(place, "net", 1390)
    paths = _probe(place)
    assert set(paths.holes) == {("web", "net"), ("net", "web")}
    # 1328 bytes are 83 blocks of 16, and 60 more outside over IPv4
    assert {path.passes for path in paths.holes.values()} == {1328}
    assert "net <-> web: of 1370 bytes, 1328 pass" in holes_in_words(paths) or (
        "web <-> net: of 1370 bytes, 1328 pass" in holes_in_words(paths)
    )
    told = copy.deepcopy(MESH)
    told["nodes"]["net"]["underlayMtu"] = 1408  # as the message says
    assert "`underlayMtu: 1408`" in holes_in_words(paths)
    bring(place, told)
    assert _probe(place).holes == {}


def test_a_tunnel_that_comes_up_while_it_is_probed_is_no_black_hole(place: World) -> None:
    """As after another private key: the first packets are lost, whatever their size."""
    place.router.run("nft", "-f", "-", stdin=_AWAY)
    back = place.router.start("sh", "-c", "sleep 2.6; nft delete table inet away")
    assert _probe(place).holes == {}
    back.wait()


def test_without_the_narrow_networks_no_route_is_left(place: World) -> None:
    assert "10.10.0.4 scope link mtu 1200" in _routes(place.nodes["web"])
    plain = copy.deepcopy(MESH)
    for name in SIZES:
        del plain["nodes"][name]["underlayMtu"]
    bring(place, plain)
    assert _routes(place.nodes["web"]) == ""
    assert _mtu(place.nodes["least"]) == 1420
    bring(place, MESH)
    assert _mtu(place.nodes["least"]) == 1280


def _of(size: int | None) -> dict[str, Any]:
    """The mesh, with another underlay of one node."""
    raw = copy.deepcopy(MESH)
    raw["nodes"]["net"] = {"address": "10.10.0.2"} | ({} if size is None else {"underlayMtu": size})
    return raw


def test_no_packet_is_lost_while_mtus_change(place: World) -> None:
    """The packets are as large as fits all the time, and must not be cut."""
    web, net = place.nodes["web"], place.nodes["net"]
    _narrow(place, "net", 1500)
    texts = [_text_of(place, _of(size)) for size in (None, 1400, 9000, 1450)]
    size = ["-s", str(1320 - 28), "-M", "do", "-i", "0.02", "-n"]
    pings = [one.start(PING, *size, other.inner) for one, other in ((web, net), (net, web))]
    for text in texts:
        for node in place.nodes.values():
            converge(node, text[node.plan.name])
    for ping in pings:
        assert unbroken(ping)


def _text_of(place: World, raw: dict[str, Any]) -> dict[str, str]:
    """`wg0.conf` of each node in this mesh, for the keys that are there."""
    bring(place, raw)
    return {name: node.document.files[CONF] for name, node in place.nodes.items()}


@pytest.fixture
def lan(place: World) -> Iterator[Space]:
    """A host behind web, in a network that is not part of the mesh."""
    web = place.nodes["web"]
    host = web.lan("10.99.0.1/24", "10.99.0.2/24")
    web.run(
        "nft",
        "add table ip lan; add chain ip lan out { type nat hook postrouting priority srcnat; }; "
        "add rule ip lan out ip saddr 10.99.0.0/24 oifname wg0 masquerade",
    )
    yield host
    web.run("nft", "delete table ip lan")
    host.end()


@pytest.mark.parametrize(("name", "inside"), [("vswitch", 1320), ("net", 1370), ("least", 1200)])
def test_connections_through_a_node_get_the_mtu_of_the_peer(
    place: World, lan: Space, name: str, inside: int
) -> None:
    mss = lan.segment_to(place.nodes[name], place.nodes[name].inner)
    assert mss in (inside - 40, inside - 52)  # 20 IPv4, 20 TCP; 12 for timestamps


def _differences(node: Node, text: str) -> str:
    return node.run(sys.executable, "-c", _COMPARE, str(Path(__file__).parents[2]), stdin=text)


def test_what_was_changed_by_hand_is_named(place: World) -> None:
    web = place.nodes["web"]
    text = web.document.files[CONF]
    web.run("ip", "route", "del", f"{place.nodes['least'].inner}/32", "dev", "wg0")
    web.run("ip", "route", "replace", f"{place.nodes['vswitch'].inner}/32", "dev", "wg0", "mtu", "1400")
    assert _differences(web, text).splitlines() == [
        "route 10.10.0.4/32 mtu 1200: absent instead of present",
        "route 10.10.0.3/32: MTU: 1400 instead of 1320",
    ]
    converge(web, text)
    assert _differences(web, text) == ""


@pytest.mark.parametrize("size", [None, 1300, 9000])
def test_plain_commands_bring_the_routes_of_before_back(
    place: World, tmp_path: Path, size: int | None
) -> None:
    """What undoes a trial where the agent cannot."""
    web = place.nodes["web"]
    before = web.document
    raw = _of(size)
    del raw["nodes"]["vswitch"]["underlayMtu"]
    text = _text_of(place, raw)["web"]
    assert _differences(web, before.files[CONF]) != ""
    assert _differences(web, text) == ""
    places = Places(tmp_path)
    device, link = wanted_device(before.wg), wanted_link(before.wg)
    snapshot = Snapshot((device, link), "", None, {})
    lines = plain_commands(places, WG0, as_generation(places, web.document), snapshot)
    script = [line for line in lines if line.startswith("quick ip ")]
    web.run("sh", "-c", "\n".join(['quick() { "$@"; }', *script, "true"]))
    assert _differences(web, before.files[CONF]) == ""


def test_ipv6_inside_has_the_same_sizes_also_when_the_interface_gets_another(place: World) -> None:
    """Linux gives IPv6 routes another MTU together with the interface."""
    raw = {**copy.deepcopy(MESH), "cidr6": "fd12:3456:789a::/64"}
    raw["nodes"]["least"]["underlayMtu"] = 1360
    web = place.nodes["web"]
    for size, routes in ((1450, "1320"), (9000, "1320"), (1400, ""), (1500, "1320")):
        raw["nodes"]["net"]["underlayMtu"] = size
        bring(place, raw)
        assert _differences(web, web.document.files[CONF]) == ""
        shown = web.run("ip", "-6", "route", "show", "fd12:3456:789a::3", "dev", "wg0")
        assert (f"mtu {routes}" in shown) if routes else shown == ""
    bring(place, MESH)


def test_a_probe_in_ipv4_speaks_for_ipv6(place: World) -> None:
    """Below the mesh packets of both are alike; that their routes are, too, is compared by `check`."""
    raw = {**copy.deepcopy(MESH), "cidr6": "fd12:3456:789a::/64"}
    raw["nodes"]["least"]["underlayMtu"] = 1360
    _narrow(place, "least", 1360)
    bring(place, raw)
    until(lambda: _probe(place).holes == {} and not _probe(place).lost)
    web, least = place.nodes["web"], "fd12:3456:789a::4"

    def passes(size: int) -> bool:
        return web.works(PING, "-n", "-c", "1", "-W", "2", "-M", "do", "-s", str(size - 48), least)

    assert passes(1280)
    assert not passes(1281)
    _narrow(place, "least", 1330)  # 1280 and 60 more outside over IPv4 do not fit
    assert ("web", "least") in _probe(place).holes
    assert not passes(1280)
    _narrow(place, "least", 1360)
    web.run("ip", "route", "change", least, "dev", "wg0", "proto", "87", "mtu", "1420")
    assert _differences(web, web.document.files[CONF]) == f"route {least}/128: MTU: 1420 instead of 1280"
    bring(place, MESH)
