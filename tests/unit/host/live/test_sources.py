import ipaddress
import json

import pytest

from mesh.host.live.sources import declared_sources, edges, foreign_address

MESH = [ipaddress.ip_network("10.10.0.0/24")]


def table(*elements: object) -> str:
    sets = [
        {"set": {"name": "ssh_sources4", "elem": list(elements)}},
        {"set": {"name": "ssh_sources6"}},
        {"set": {"name": "public_tcp", "elem": [80]}},
    ]
    return json.dumps([{"table": {"name": "wgmesh"}}, *sets])


def test_sources_are_read_in_every_form_nft_has() -> None:
    prefix = {"prefix": {"addr": "203.0.113.0", "len": 24}}
    spread = {"range": ["198.51.100.4", "198.51.100.6"]}
    found = declared_sources(table("192.0.2.1", prefix, spread), 4)
    assert [str(network) for network in found] == [
        "192.0.2.1/32",
        "203.0.113.0/24",
        "198.51.100.4/31",
        "198.51.100.6/32",
    ]
    assert declared_sources(table(), 6) == []


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("192.0.2.1/32", ["192.0.2.1"]),
        ("203.0.113.0/24", ["203.0.113.0", "203.0.113.255"]),
        ("0.0.0.0/0", ["1.0.0.1", "223.255.255.254"]),
        ("10.10.0.0/16", ["10.10.255.255"]),
        ("10.10.0.0/28", []),
        ("127.0.0.0/8", []),
        ("224.0.0.0/4", []),
        ("2001:db8::/64", ["2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"]),
    ],
)
def test_the_edges_of_a_source_are_what_is_tried(network: str, expected: list[str]) -> None:
    assert edges(ipaddress.ip_network(network), MESH) == expected


def test_a_stranger_is_in_no_source() -> None:
    assert foreign_address(4, MESH) == "192.0.2.77"
    assert foreign_address(4, [ipaddress.ip_network("192.0.0.0/8")]) == "198.51.100.77"
    assert foreign_address(4, [ipaddress.ip_network("0.0.0.0/0")]) is None
    assert foreign_address(6, MESH) == "2001:db8::77"
