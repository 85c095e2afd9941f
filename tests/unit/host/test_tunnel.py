"""A tunnel is a value: whatever is said of one by another name, nothing of it is the mesh's."""

import ipaddress
from pathlib import Path
from typing import Any

import pytest

from mesh.host.files.document import parse_document
from mesh.host.files.generation import Generation, as_generation
from mesh.host.files.wgconf import parse_wg_file
from mesh.host.live.device import (
    Device,
    Link,
    link_commands,
    parse_addresses,
    wanted_device,
    wanted_link,
    wg_commands,
)
from mesh.host.live.following import enabled_units
from mesh.host.live.lookup import Route
from mesh.host.live.overlap import Host, conflicts
from mesh.host.live.takeover import named_in_files
from mesh.host.places import Places
from mesh.host.system.unitfiles import lent_paths
from mesh.host.system.units import BOOT_UNIT, unit_files
from mesh.host.trial.undo import Snapshot
from mesh.host.trial.way_back import plain_commands
from mesh.host.tunnel import WG0, Tunnel, tunnel_named
from tests.unit.host import documents as example

SECOND = tunnel_named("wg-next")
FILE = parse_wg_file(example.WG, where="x")
NOTHING = Device(private_key=None, port=0, fwmark=0, peers={})
BARE = Link(frozenset(), 1500, up=False, routes=frozenset())


def test_its_names_are_those_of_wg_quick() -> None:
    assert Tunnel("wg-next", "wg-quick@wg-next.service", "/etc/wireguard/wg-next.conf") == SECOND
    assert str(SECOND.socket) == "/var/run/wireguard/wg-next.sock"
    assert Tunnel("wg0", "wg-quick@wg0.service", "/etc/wireguard/wg0.conf") == WG0


def _generation(folder: Path) -> Generation:
    return as_generation(Places(folder), parse_document(example.document().encode()))


def _words(tunnel: Tunnel, folder: Path) -> str:
    """Everything that would be run, or put down to be run, for a tunnel."""
    places = Places(folder)
    snapshot = Snapshot((wanted_device(FILE), wanted_link(FILE)), "", None, {})
    lines = [
        *(" ".join(map(str, line)) for line in wg_commands(tunnel, NOTHING, wanted_device(FILE))),
        *(" ".join(line) for line in link_commands(tunnel, BARE, wanted_link(FILE))),
        *plain_commands(places, tunnel, _generation(folder), snapshot),
        *plain_commands(places, tunnel, _generation(folder), Snapshot(None, "", None, {})),
        *enabled_units(tunnel),
        *(str(path) for path in lent_paths(places, tunnel)),
        unit_files(places, tunnel, python="/usr/bin/python3", nft="/usr/sbin/nft")[BOOT_UNIT],
    ]
    return "\n".join(lines)


def test_no_command_for_a_second_tunnel_touches_the_first(tmp_path: Path) -> None:
    first, second = _words(WG0, tmp_path), _words(SECOND, tmp_path)
    assert "wg0" not in second
    assert first.count("wg0") > 15
    assert second == first.replace("wg0", "wg-next"), "and nothing else differs"


def test_only_its_own_link_is_read() -> None:
    shown: list[dict[str, Any]] = [{"ifname": "wg0", "mtu": 1420, "flags": ["UP"], "addr_info": []}]
    assert parse_addresses(SECOND, shown) is None
    assert parse_addresses(WG0, shown) is not None


def test_another_tunnels_network_is_somebody_elses() -> None:
    network = ipaddress.ip_network("10.10.0.0/24")
    host = Host([("wg0", "10.10.0.1/24")], {}, [Route("main", "unicast", network, "wg0", "", "kernel")], [])
    assert any("of wg0" in str(found) for found in conflicts(SECOND, FILE, host))


@pytest.mark.parametrize(("tunnel", "expected"), [(WG0, 0), (SECOND, 1)])
def test_files_of_others_are_searched_for_its_name(tmp_path: Path, tunnel: Tunnel, expected: int) -> None:
    file = tmp_path / "etc/systemd/network/30.netdev"
    file.parent.mkdir(parents=True)
    file.write_text("[NetDev]\nName=wg-next\nKind=wireguard\n")
    assert len(list(named_in_files(Places(tmp_path), tunnel))) == expected
