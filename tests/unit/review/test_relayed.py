"""A pair that a relay connects is a pair like any other, and has no session of its own."""

from ipaddress import ip_address
from pathlib import Path

from mesh.review.files import read_files, read_tunnel

GOLDEN = Path(__file__).parents[1] / "render" / "golden" / "behind_nat"


def test_a_relayed_node_is_a_peer_with_the_address_that_the_relay_carries() -> None:
    peers = read_tunnel(read_files((GOLDEN / "office.txt").read_text())).peers
    assert {name: (peer.relay, peer.allowed) for name, peer in peers.items()} == {
        "hub": ("", (ip_address("10.10.0.1"),)),
        "home": ("hub", (ip_address("10.10.0.4"),)),
        "web-1": ("", (ip_address("10.10.0.2"),)),
    }


def test_a_relay_carries_the_addresses_of_both_families() -> None:
    golden = GOLDEN.parent / "both_families_passed_on" / "office.txt"
    peers = read_tunnel(read_files(golden.read_text())).peers
    assert (peers["home"].relay, peers["home"].allowed) == (
        "hub",
        (ip_address("10.10.0.3"), ip_address("fd1a:2b3c:4d5e::3")),
    )
    assert peers["hub"].allowed == (ip_address("10.10.0.1"), ip_address("fd1a:2b3c:4d5e::1"))
