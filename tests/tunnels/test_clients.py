"""A laptop with the file that `mesh client` prints: whom it reaches through real tunnels, and when not."""

from collections.abc import Iterator
from typing import Any

import pytest

from mesh.cli.client import as_file
from tests.spaces import Space
from tests.tunnels.agent import NEEDS_PING, PING, PROGRAM, bring
from tests.tunnels.world import World, until, world

pytestmark = NEEDS_PING

NODES = {"bastion": {"address": "10.10.0.1"}, "db": {"address": "10.10.0.2"}}
LAPTOP = {"address": "10.10.0.200", "to": ["bastion"], "groups": ["people"]}
MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "nodes": NODES,
    "policy": [
        {"from": ["people"], "to": ["bastion"], "allow": ["tcp/443"]},
        {"from": ["all"], "to": ["all"], "allow": ["tcp/5432"]},
    ],
    "clients": {"laptop": LAPTOP},
}


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    with world(MESH, PROGRAM) as built:
        yield built


@pytest.fixture(scope="module")
def laptop(place: World) -> Iterator[Space]:
    """A device that has done what wg-quick does with the file."""
    device = Space()
    place.connect("laptop", device, "192.0.2.99")
    device.start(PROGRAM, "-f", "wg0")
    until(lambda: device.works("wg", "show", "wg0"))
    lines = as_file(place.client("laptop")).splitlines()
    values = dict(line.split(" = ", 1) for line in lines if " = " in line)
    conf = "\n".join(line for line in lines if not line.startswith(("Address", "MTU")))
    device.run("wg", "setconf", "wg0", "/dev/stdin", stdin=f"{conf}\n")
    device.run("ip", "addr", "add", f"{values['Address']}/32", "dev", "wg0")
    device.run("ip", "link", "set", "wg0", "mtu", values["MTU"], "up")
    device.run("ip", "route", "add", values["AllowedIPs"], "dev", "wg0")
    yield device
    device.end()


def _pings(device: Space, address: str) -> bool:
    return device.works(PING, "-n", "-c", "1", "-W", "1", address)


def test_a_client_reaches_its_nodes_by_the_policy_and_nobody_else(place: World, laptop: Space) -> None:
    bring(place, MESH)
    until(lambda: _pings(laptop, "10.10.0.1"))
    assert [laptop.answers_on("10.10.0.1", port) for port in (443, 22, 5432)] == [True, False, False]
    assert not _pings(laptop, "10.10.0.2")
    laptop.run("ip", "route", "replace", "10.10.0.2/32", "dev", "wg0")
    assert not _pings(laptop, "10.10.0.2"), "the device itself cannot widen what it reaches"


def test_a_device_that_moves_is_found_where_it_calls_from(place: World, laptop: Space) -> None:
    bring(place, MESH)
    until(lambda: _pings(laptop, "10.10.0.1"))
    laptop.run("wg", "set", "wg0", "listen-port", "40404")
    until(lambda: _pings(laptop, "10.10.0.1"))
    bring(place, {**MESH, "ssh": {"port": 2222}})
    assert _pings(laptop, "10.10.0.1")
    assert "192.0.2.99:40404" in place.nodes["bastion"].run("wg", "show", "wg0", "endpoints")


def test_a_client_that_is_taken_out_has_no_answer_any_more(place: World, laptop: Space) -> None:
    bring(place, MESH)
    until(lambda: _pings(laptop, "10.10.0.1"))
    bring(place, {**MESH, "clients": {}, "policy": MESH["policy"][1:]})
    assert not _pings(laptop, "10.10.0.1")
    assert "10.10.0.200" not in place.nodes["bastion"].run("wg", "show", "wg0", "allowed-ips")
