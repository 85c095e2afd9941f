"""A second tunnel beside the mesh's: made, changed, brought back and taken away; the first one lives on."""

import pytest

from tests.host.nodes import AGENT, Hosts, Node

pytestmark = [pytest.mark.hosts, pytest.mark.long]

LIFE = f"""
import sys
sys.path.insert(0, "{AGENT}")
from pathlib import Path
from wgmesh.files.keystore import fingerprint, require_keys
from wgmesh.live.device import Device, Link, Peer, key_fields, with_keys
from wgmesh.live.interface import converge, create_link, delete_link, read_device, read_link
from wgmesh.places import Places
from wgmesh.trial.undo import take_snapshot
from wgmesh.tunnel import tunnel_named
from wgmesh.system.run import run

places = Places(Path("/root/second"))
for folder in (places.keys, places.generations, places.volatile):
    folder.mkdir(parents=True)
tunnel = tunnel_named("wg1")
key, shared, other = (run(["wg", verb]).strip() for verb in ("genkey", "genpsk", "genpsk"))
public = run(["wg", "pubkey"], stdin=run(["wg", "genkey"])).strip()

def device(preshared, port):
    peer = Peer(preshared, "192.0.2.7:51820", frozenset(["10.99.0.2/32"]), 25)
    return Device(key, port, 0, {{public: peer}})

link = Link(frozenset(["10.99.0.1/24"]), 1380, up=True, routes=frozenset())
create_link(tunnel)
converge(tunnel, device(shared, 51999), link)
before = read_device(tunnel), read_link(tunnel)
snapshot = take_snapshot(places, tunnel, {{}})
assert key_fields(snapshot.interface[0]) == {{fingerprint(key), fingerprint(shared)}}, "names"
converge(tunnel, device(other, 51998), Link(frozenset(["10.98.0.1/24"]), 1280, up=True, routes=frozenset()))
assert (read_device(tunnel), read_link(tunnel)) != before
named, wanted = snapshot.interface
converge(tunnel, with_keys(named, require_keys(places, key_fields(named))), wanted)
assert (read_device(tunnel), read_link(tunnel)) == before
delete_link(tunnel)
assert read_link(tunnel) is None
print("lived")
"""


def test_a_second_tunnel_lives_beside_the_first(hosts: Hosts, web_1: Node) -> None:
    web_1.bring(hosts.document("web-1", ("web-1", "web-2")))
    before = web_1.live() + web_1.inside("wg show wg0 dump | cut -f1-4")
    life = web_1.ssh("rm -rf /root/second; exec python3 -", LIFE)
    web_1.inside("rm -rf /root/second; ip link delete dev wg1 2>/dev/null; true")
    assert life.out == "lived"
    assert web_1.live() + web_1.inside("wg show wg0 dump | cut -f1-4") == before
    assert web_1.status()["differences"] == []
