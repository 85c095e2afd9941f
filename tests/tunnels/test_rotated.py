"""Devices of people, and an attacker, while keys of nodes rotate: real tunnels, and the agent's own loop."""

import base64
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from nacl.public import PrivateKey

from lab.testing import wait
from mesh.cli.client import as_file
from mesh.host import tunnel
from tests.spaces import Space
from tests.tunnels.agent import NEEDS_PING, PING, PROGRAM, unbroken
from tests.tunnels.rotating import HERE
from tests.tunnels.world import Node, World, until, world

pytestmark = NEEDS_PING

MESH: Final[dict[str, Any]] = {
    "cidr": "10.10.0.0/24",
    "rotation": {},
    "nodes": {
        "bastion": {"address": "10.10.0.1"},
        "db": {"address": "10.10.0.2"},
        "web": {"address": "10.10.0.3"},
    },
    "clients": {"laptop": {"address": "10.10.0.200", "to": ["bastion"]}},
}
_ADD_QUEUE: Final = """
from mesh.host.live.clsact import add_queue
assert add_queue("wg0")
"""
# What a trial and its commit do with the interface.
_COMMIT: Final = """
from pathlib import Path
from mesh.host.files.document import parse_document
from mesh.host.files.generation import commit, stage
from mesh.host.files.keystore import store_keys
from mesh.host.places import Places
from mesh.host.rotation.stored import bring, keep_plan
from mesh.host.tunnel import WG0
places, (text, keys) = Places(Path(sys.argv[1])), json.load(sys.stdin)
for folder in (places.generations, places.volatile):
    folder.mkdir(parents=True, exist_ok=True)
store_keys(places.keys, keys)
generation = stage(places, parse_document(text.encode()))
bring(places, WG0, generation)
keep_plan(places, generation)
commit(places, generation.digest)
"""
# What systemd starts after the commit; the second interface is there already.
_ROTATE: Final = """
from pathlib import Path
from mesh.host.commands.rotate import rotate
from mesh.host.places import Places
from mesh.host.tunnel import WG0
rotate(Places(Path(sys.argv[1])), WG0)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[World]:
    """The mesh in force, as the agent keeps it."""
    with world(MESH, PROGRAM) as built:
        for node in built.nodes.values():
            node.run(
                "mount", "-t", "sysfs", "none", "/sys"
            )  # where the agent sees which interfaces there are
            node.run(sys.executable, "-S", "-c", HERE + _ADD_QUEUE)
        _send(built, tmp_path)
        yield built


@pytest.fixture
def laptop(place: World) -> Iterator[Space]:
    device = Space()
    place.connect("laptop", device, "192.0.2.99")
    device.start(PROGRAM, "-f", "wg0")
    until(lambda: device.works("wg", "show", "wg0"))
    device.run("ip", "addr", "add", "10.10.0.200/32", "dev", "wg0")
    device.run("ip", "link", "set", "wg0", "mtu", "1280", "up")
    device.run("ip", "route", "add", "10.10.0.0/24", "dev", "wg0")
    _take_file(place, device)
    until(lambda: _pings(device, "10.10.0.1"))
    yield device
    device.end()


def _take_file(place: World, device: Space) -> None:
    """Have what `mesh client` prints now."""
    lines = as_file(place.client("laptop")).splitlines()
    conf = "\n".join(line for line in lines if not line.startswith(("Address", "MTU")))
    device.run("wg", "setconf", "wg0", "/dev/stdin", stdin=f"{conf}\n")


def _pings(space: Space, address: str) -> bool:
    return space.works(PING, "-n", "-c", "1", "-W", "1", address)


def _send(place: World, folder: Path, *names: str) -> None:
    """Have the files of the present plan committed on these nodes, or on all."""
    for name in names or place.nodes:
        text, keys = place.files(place.nodes[name].plan)
        place.nodes[name].load(text)
        said = json.dumps([text, keys])
        place.nodes[name].run(sys.executable, "-c", HERE + _COMMIT, str(folder / name), stdin=said)


@contextlib.contextmanager
def _rotated(place: World, folder: Path, name: str) -> Iterator[None]:
    """Rotate the identity of a node; gives when no node has the former key, and all words are still said."""
    key = PrivateKey.generate()
    place.nodes[name].private = bytes(key)
    for node in place.nodes.values():
        node.start(PROGRAM, "-f", tunnel.NEXT.interface)
    until(lambda: all(node.works("wg", "show", tunnel.NEXT.interface) for node in place.nodes.values()))
    _send(place, folder)
    running = [
        node.start(sys.executable, "-c", HERE + _ROTATE, str(folder / each))
        for each, node in place.nodes.items()
    ]
    try:
        wait(lambda: all(_is_over(node) for node in place.nodes.values()), 120)
        public = base64.b64encode(bytes(key.public_key)).decode()
        assert place.nodes[name].run("wg", "show", "wg0", "public-key").strip() == public
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


def _is_over(node: Node) -> bool:
    return not node.works("ip", "link", "show", tunnel.NEXT.interface)


def test_a_client_loses_nothing_when_a_node_rotates_that_it_does_not_call(
    place: World, laptop: Space, tmp_path: Path
) -> None:
    ping = laptop.start(PING, "-n", "-i", "0.01", "10.10.0.1")
    with _rotated(place, tmp_path, "db"):
        assert _pings(place.nodes["web"], "10.10.0.2")
    assert unbroken(ping, at_least=100)


def test_a_client_is_cut_off_by_a_rotation_of_a_node_that_it_calls_until_it_has_its_new_file(
    place: World, laptop: Space, tmp_path: Path
) -> None:
    with _rotated(place, tmp_path, "bastion"):
        assert not _pings(laptop, "10.10.0.1")
        _take_file(place, laptop)
        until(lambda: _pings(laptop, "10.10.0.1"))


def test_the_key_of_a_revoked_node_opens_no_node_from_anywhere(place: World, tmp_path: Path) -> None:
    """An attacker took it, and all else that the node had, to an address that every firewall lets in."""
    laptop = {**MESH["clients"]["laptop"], "to": ["bastion", "web"]}
    place.replan({**MESH, "clients": {"laptop": laptop}})
    _send(place, tmp_path)
    db = place.nodes["db"]
    stolen = db.run("wg", "showconf", "wg0")
    db.run("ip", "link", "set", "wg0", "down")
    attacker = Space()
    try:
        place.connect("attacker", attacker, "192.0.2.66")
        attacker.start(PROGRAM, "-f", "wg0")
        until(lambda: attacker.works("wg", "show", "wg0"))
        attacker.run("ip", "addr", "add", "10.10.0.2/24", "dev", "wg0")
        attacker.run("ip", "link", "set", "wg0", "up")
        _begins_anew(attacker, stolen)
        until(lambda: all(_calls(attacker)) and _hands_shaken(attacker) == 2)
        revoked = {**MESH["nodes"], "db": {**MESH["nodes"]["db"], "revoked": True}}
        place.replan({**MESH, "clients": {"laptop": laptop}, "nodes": revoked})
        _send(place, tmp_path, "bastion", "web")
        for _ in range(2):
            _begins_anew(attacker, stolen)
            end = time.monotonic() + 5
            while time.monotonic() < end:
                assert not any(_calls(attacker))
            assert _hands_shaken(attacker) == 0
        assert _pings(place.nodes["web"], "10.10.0.1")
    finally:
        attacker.end()


def _begins_anew(attacker: Space, conf: str) -> None:
    """Have WireGuard forget all sessions, and shake hands again."""
    attacker.run("wg", "set", "wg0", "private-key", "/dev/null")
    attacker.run("wg", "setconf", "wg0", "/dev/stdin", stdin=conf)


def _calls(attacker: Space) -> list[bool]:
    return [_pings(attacker, address) for address in ("10.10.0.1", "10.10.0.3")]


def _hands_shaken(space: Space) -> int:
    lines = space.run("wg", "show", "wg0", "latest-handshakes").splitlines()
    return sum(line.split()[1] != "0" for line in lines)
