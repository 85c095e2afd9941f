"""A peer that called from elsewhere: no change of something else sends packets to the old place."""

import pytest

from mesh.host.files.wgconf import WgFile, WgPeer
from mesh.host.live.device import Device, Peer, wanted_device, wg_commands
from mesh.host.live.roaming import with_roamed
from mesh.host.live.wanted import Before
from mesh.host.records import replace
from mesh.host.tunnel import WG0

HOME, AWAY, NEW = "192.0.2.1:51820", "198.51.100.9:40001", "192.0.2.2:51820"

KEY = "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="


def _file(endpoint: str | None, *, keepalive: int = 25, allowed: str = "10.10.0.2/32") -> WgFile:
    peer = WgPeer(KEY, None, (allowed,), endpoint, keepalive)
    return WgFile("f" * 16, ("10.10.0.1/24",), 51820, 1420, (peer,))


def _before(endpoint: str | None) -> Before:
    return Before(wanted_device(_file(endpoint)), {})


def _live(endpoint: str | None) -> Device:
    return Device("f" * 16, 51820, 0, {KEY: Peer(None, endpoint, frozenset({"10.10.0.2/32"}), 25)})


@pytest.mark.parametrize(
    ("before", "after", "live", "found"),
    [
        (HOME, HOME, AWAY, AWAY),
        (HOME, HOME, HOME, HOME),
        (None, None, AWAY, AWAY),
        (HOME, None, AWAY, AWAY),
        (HOME, NEW, AWAY, NEW),
        (None, NEW, AWAY, NEW),
        (HOME, HOME, None, HOME),
    ],
)
def test_only_another_endpoint_in_the_file_moves_a_peer(
    before: str | None, after: str | None, live: str | None, found: str
) -> None:
    now = _live(live)
    wanted = with_roamed(wanted_device(_file(after)), now, _before(before))
    said = [word for command in wg_commands(WG0, now, wanted) for word in command]
    assert said == ([] if found == live else ["wg", "set", "wg0", "peer", KEY, "endpoint", found])


def test_a_change_of_something_else_keeps_the_roamed_endpoint() -> None:
    wanted = with_roamed(wanted_device(_file(HOME, keepalive=9)), _live(AWAY), _before(HOME))
    (command,) = wg_commands(WG0, _live(AWAY), wanted)
    assert command == ["wg", "set", "wg0", "peer", KEY, "persistent-keepalive", "9"]


def test_a_host_without_files_gets_the_endpoints_of_the_first() -> None:
    wanted = with_roamed(wanted_device(_file(HOME)), _live(AWAY), Before(None, {}))
    assert wanted.peers[KEY].endpoint == HOME


@pytest.mark.parametrize("recorded", [True, False], ids=["the record is first", "the deed is first"])
def test_a_peer_that_gets_another_key_stays_where_it_called_from(*, recorded: bool) -> None:
    other = KEY.replace("Y", "Z")
    rekeyed = replace(_file(None), peers=(replace(_file(None).peers[0], public_key=other),))
    before = wanted_device(rekeyed) if recorded else wanted_device(_file(None))
    wanted = with_roamed(wanted_device(rekeyed), _live(AWAY), Before(before, {other: KEY}))
    assert wanted.peers[other].endpoint == AWAY
