"""Nodes with public IPv4, public IPv6 and a private network: each pair takes its best path, with packets."""

import json
from typing import Any

import pytest

from tests.system.world import World

pytestmark = pytest.mark.hosts

NODES: dict[str, Any] = {
    "dual-1": {"address": "10.10.0.2", "publicIpv6": True},
    "dual-2": {"address": "10.10.0.3", "publicIpv6": True, "network": "backbone"},
    "four-1": {"address": "10.10.0.4", "network": "backbone"},
    "six-1": {
        "address": "10.10.0.6", "publicIpv4": False, "publicIpv6": True,
        "network": "backbone", "networkAddress": "10.0.9.9",
    },
}  # fmt: skip
PRIVATE = {"dual-2": "10.0.0.3", "four-1": "10.0.0.4", "six-1": "10.0.9.9"}
# What of a peer each node uses: dual-1 is in no network, and four-1 and six-1 have nothing else in common.
PATHS = {
    ("dual-1", "dual-2"): "ipv6",
    ("dual-1", "four-1"): "ipv4",
    ("dual-1", "six-1"): "ipv6",
    ("dual-2", "four-1"): "private",
    ("dual-2", "six-1"): "private",
    ("four-1", "six-1"): "private",
}
BOTH_WAYS = {**PATHS, **{(other, one): path for (one, other), path in PATHS.items()}}


def _begin(settings: dict[str, Any]) -> None:
    settings.update(prefer="ipv6", networks={"backbone": {"cidr": "10.0.0.0/16"}}, nodes=NODES)
    settings["defaults"] = {"location": "fsn1", "type": "cx23", "image": "debian-12"}


def _addresses(mesh: World) -> dict[str, dict[str, str]]:
    """Each node's addresses by kind, as the cloud says them."""
    found: dict[str, dict[str, str]] = {}
    for server in mesh.cloud().servers.get_all():
        net = server.public_net
        assert net is not None
        own = found.setdefault(str(server.name).removeprefix("lab-"), {})
        if net.ipv4 is not None:
            own["ipv4"] = net.ipv4.ip
        if net.ipv6 is not None:
            own["ipv6"] = f"{net.ipv6.ip.partition('/')[0]}1"
        for private in server.private_net or []:
            own["private"] = private.ip
    return found


def _used(mesh: World, node: str) -> dict[str, str]:
    """Where a node sends to each peer, by the peer's overlay address."""
    keys = dict(line.split("\t") for line in mesh.on(node, "wg show wg0 endpoints").splitlines())
    peers = dict(line.split("\t") for line in mesh.on(node, "wg show wg0 allowed-ips").splitlines())
    return {allowed: keys[key].rpartition(":")[0].strip("[]") for key, allowed in peers.items()}


def _wireguard_from(mesh: World, node: str) -> set[str]:
    """Whose packets a node's own firewall lets in to WireGuard."""
    found = set()
    for name in ("peer_endpoints", "peer_endpoints6"):
        text = mesh.on(node, f"nft -j list set inet wgmesh {name} 2>/dev/null || true")
        for each in json.loads(text)["nftables"] if text.strip() else ():
            found |= set(each.get("set", {}).get("elem", ()))
    return found


def _pings(mesh: World, paths: dict[tuple[str, str], str]) -> None:
    run = mesh.reach()
    assert run.code == 0, run.out
    assert f"all {len(paths)} pairs reach each other" in run.out, run.out
    addresses = _addresses(mesh)
    overlay = {name: f"{node['address']}/32" for name, node in NODES.items()}
    for name in {one for one, _ in paths}:
        wanted = {other: addresses[other][path] for (one, other), path in paths.items() if one == name}
        used = _used(mesh, name)
        assert {other: used[overlay[other]] for other in wanted} == wanted, name
        assert _wireguard_from(mesh, name) == set(wanted.values()), name


@pytest.mark.long
def test_each_pair_takes_its_best_path_and_firewalls_follow(world: World) -> None:
    world.bring(_begin)
    assert {name: own.get("private") for name, own in _addresses(world).items()} == {
        "dual-1": None, **PRIVATE
    }  # fmt: skip
    assert world.outputs()["nodes"]["six-1"]["public_ip"] == _addresses(world)["six-1"]["ipv6"]
    assert world.on("six-1", "ip -4 route show default") == ""
    _pings(world, BOTH_WAYS)
    check = world.command(".venv/bin/python", "-m", "mesh", "check")
    assert check.code == 0, check.out
