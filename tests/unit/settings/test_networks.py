"""Addresses, networks, interfaces and names of the stack file: what is taken, and how the rest is refused."""

from ipaddress import ip_network

import pytest

from mesh.settings import addresses, interfaces, names
from tests.unit.refusals import refusal

FOUR = "; give four numbers from 0 to 255, with dots"
LENGTH = "; the prefix length after the slash goes from 8 to 29"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("10.10.0.1/255.255.255.0", "; write 10.10.0.1: cidr already has the network"),
        ("010.10.0.001", "; write 10.10.0.1: a number with a leading zero reads as octal elsewhere"),
        ("10.10.0.256", FOUR),
        ("10.10.0", FOUR),
        ("web-1", FOUR),
        ("", FOUR),
        ("10.10.0.1/x", "; write 10.10.0.1: cidr already has the network"),
        ("10.10.0.1%eth0", FOUR),
        ("fe80::1%eth0", "; write an IPv6 address as address6"),
        ("fd00::1/64", "; write an IPv6 address as address6"),
        ("fe80::1%eth0/64", "; write an IPv6 address as address6"),
    ],
)
def test_what_is_no_address_is_refused_with_a_better_one(value: str, told: str) -> None:
    assert refusal(addresses.address, value) == f"'{value}' is not an IPv4 address such as 10.10.0.1{told}"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("fd00::1", "; write an IPv6 network as cidr6"),
        ("10.10.0.0/x", LENGTH),
        ("10.10.0.0/24/24", LENGTH),
        ("", "; give the first address, a slash and the prefix length"),
    ],
)
def test_what_is_no_network_is_refused(value: str, told: str) -> None:
    assert refusal(addresses.mesh_network, value) == (
        f"'{value}' is not an IPv4 network such as 10.10.0.0/24{told}"
    )


PRIVATE = "take a network inside 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            "10.10.0.0/30",
            (
                "10.10.0.0/30 has no room for a mesh; /29 is the smallest network: write for "
                "example 10.10.0.0/24"
            ),
        ),
        (
            "10.10.0.0/255.255.255.0",
            "10.10.0.0/255.255.255.0 has another form; write 10.10.0.0/24",
        ),
        ("172.0.0.0/8", f"172.0.0.0/8 is public address space; {PRIVATE}"),
        ("0.0.0.0/0", f"0.0.0.0/0 is public address space; {PRIVATE}"),
        ("127.0.0.0/24", f"127.0.0.0/24 is this host itself; {PRIVATE}"),
        ("169.254.1.0/24", f"169.254.1.0/24 is one link, never routed; {PRIVATE}"),
        ("224.0.0.0/24", f"224.0.0.0/24 is multicast, never a source; {PRIVATE}"),
        ("250.0.0.0/24", f"250.0.0.0/24 is reserved, in use nowhere; {PRIVATE}"),
        ("0.1.0.0/24", f"0.1.0.0/24 is this host itself; {PRIVATE}"),
    ],
)
def test_a_network_that_no_mesh_can_have_is_refused(value: str, told: str) -> None:
    assert refusal(addresses.mesh_network, value) == told


@pytest.mark.parametrize(
    "value", ["10.0.0.0/8", "10.10.0.0/29", "172.31.0.0/16", "192.168.1.0/24", "100.64.0.0/10"]
)
def test_a_private_network_is_taken(value: str) -> None:
    assert str(addresses.mesh_network(value)) == value


HOME = "no packet comes from there; give your public address"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            "203.0.113.7/0",
            (
                "203.0.113.7/0 names a host, not a network; write 203.0.113.7 for this one address, or "
                "0.0.0.0/0 for all 4294967296"
            ),
        ),
        (
            "2001:db8::7/96",
            (
                "2001:db8::7/96 names a host, not a network; write 2001:db8::7 for this one address, "
                "or 2001:db8::/96 for all 4294967296"
            ),
        ),
        (
            "2001:db8::7/95",
            (
                "2001:db8::7/95 names a host, not a network; write 2001:db8::7 for this one address, "
                "or 2001:db8::/95 for all 2^33"
            ),
        ),
        (
            "2001:DB8:0::7/127",
            (
                "2001:DB8:0::7/127 names a host, not a network; write 2001:db8::7 for this one "
                "address, or 2001:db8::6/127 for all 2"
            ),
        ),
        (
            "::ffff:203.0.113.5",
            (
                "::ffff:203.0.113.5 is an IPv4 address in IPv6 form, which arrives as IPv4, and never "
                "matches; write 203.0.113.5"
            ),
        ),
        (
            "::ffff:203.0.113.0/120",
            (
                "::ffff:203.0.113.0/120 is an IPv4 address in IPv6 form, which arrives as IPv4, and "
                "never matches; write 203.0.113.0/24"
            ),
        ),
        (
            "::203.0.113.5",
            (
                "::203.0.113.5 is an IPv4 address in a form that is used nowhere, and never matches; "
                "write 203.0.113.5"
            ),
        ),
        ("::2", f"::2 is an IPv4 address in a form that is used nowhere: {HOME}"),
        ("::", f":: is no address: {HOME}"),
        ("::1", f"::1 is this host itself: {HOME}"),
        ("fe80::/64", f"fe80::/64 is one link, never routed: {HOME}"),
        ("ff02::1", f"ff02::1 is multicast, never a source: {HOME}"),
        ("127.0.0.1", f"127.0.0.1 is this host itself: {HOME}"),
        (
            "fe80::1%eth0",
            (
                "'fe80::1%eth0' names an interface after the %: such an address works on one link only "
                "and never reaches a server; give your public address"
            ),
        ),
        (
            "office",
            (
                "'office' is not a network such as 203.0.113.0/24 or 2001:db8::/32; give addresses: a name's "
                "addresses can change"
            ),
        ),
        (7, "7 is not text; give a network such as 203.0.113.0/24 or 2001:db8::/32, in quotes if need be"),
    ],
)
def test_a_source_that_never_matches_is_refused(value: object, told: str) -> None:
    assert refusal(addresses.source_network, value) == told


@pytest.mark.parametrize(
    ("value", "network"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("203.0.113.0/255.255.255.0", "203.0.113.0/24"),
        ("2001:DB8::7", "2001:db8::7/128"),
        ("2001:db8:0:0::/64", "2001:db8::/64"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_a_source_is_taken_however_it_is_written(value: str, network: str) -> None:
    assert addresses.source_network(value) == ip_network(network)


SHORT = "; give a name of at most 15 characters, or its beginning and *"
BEHIND = (
    ", and the internet is behind this card: trusting the card would open every port of the node; name the "
    "bridges of containers, such as docker0, br-* or cni0 (on a node that forwards: the card of the network "
    "behind the node)"
)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("eth0", f"eth0 is the usual name of a host's first network card{BEHIND}"),
        ("e*", f"e* may include an interface such as eth0{BEHIND}"),
        ("en*", f"en* may include an interface such as enp1s0{BEHIND}"),
        ("eno*", f"eno* may include an interface such as eno0{BEHIND}"),
        ("wl*", f"wl* may include an interface such as wlp2s0{BEHIND}"),
        ("ww*", f"ww* may include an interface such as wwan0{BEHIND}"),
        ("eth1.*", f"eth1.* may include an interface such as eth1.0{BEHIND}"),
        ("enx0011223344*", f"enx0011223344* may include an interface such as enx00112233440{BEHIND}"),
        ("enx00112233445*", f"enx00112233445* may include an interface such as enx001122334450{BEHIND}"),
        ("p3p1*", f"p3p1* may include an interface such as p1p1{BEHIND}"),
        ("p3*", f"p3* may include an interface such as p1p1{BEHIND}"),
        ("wg*", "wg* includes wg0; this interface has its own rules; name the bridges of containers"),
        ("lo", "lo includes lo; this interface has its own rules; name the bridges of containers"),
        ("a" * 16, f"'{'a' * 16}' is not an interface such as docker0 or br-*{SHORT}"),
        ("a" * 15 + "*", f"'{'a' * 15}*' is not an interface such as docker0 or br-*{SHORT}"),
        ("br-*x", f"'br-*x' is not an interface such as docker0 or br-*{SHORT}"),
        ("", f"'' is not an interface such as docker0 or br-*{SHORT}"),
        (7, "7 is not text; give an interface such as docker0 or br-*, in quotes if need be: write '7'"),
    ],
)
def test_an_interface_that_nobody_can_trust_is_refused(value: object, told: str) -> None:
    assert refusal(interfaces.interface, value) == told


@pytest.mark.parametrize(
    "value", ["docker0", "a" * 15, "a" * 14 + "*", "br-*", "p", "cali*", "eth1", "wt0", "BR-LAN", "Br_1.x-*"]
)
def test_an_interface_is_taken(value: str) -> None:
    assert interfaces.interface(value) == value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("Web Server!", "'Web Server!' is not a name: {}; write web-server"),
        ("a" * 49, f"'{'a' * 49}' is not a name: {{}}; write {'a' * 48}"),
        ("a" * 47 + "__b", f"'{'a' * 47}__b' is not a name: {{}}; write {'a' * 47}"),
        ("_" + "a" * 48, f"'_{'a' * 48}' is not a name: {{}}; write {'a' * 48}"),
        ("--", "'--' is not a name: {}; give another name"),
        ("ä-web", "'ä-web' is not a name: {}; write a-web"),
        (None, "null is not text; give a name, in quotes if need be"),
    ],
)
def test_what_is_no_name_is_refused_with_a_better_one(value: object, told: str) -> None:
    rule = "lower-case letters, digits and inner hyphens, at most 48"
    assert refusal(names.host_name, value) == told.format(rule)


@pytest.mark.parametrize("value", ["a", "0", "a-b", "a" * 48])
def test_a_name_is_taken(value: str) -> None:
    assert names.host_name(value) == value
    assert names.is_host_name(value)
    assert not names.is_host_name(f"-{value}")
