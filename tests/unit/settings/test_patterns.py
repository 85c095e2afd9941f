"""What editors check while a stack file is written: patterns of what the program takes.

Patterns are made when the module is read, so these tests read the module anew.
"""

import runpy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from mesh.program import KINDS
from mesh.settings import addresses, addresses6, fields, grants, machines, names, patterns, routes, topology

NAME: Final = "a name: lower-case letters, digits and inner hyphens, at most 48"
PRIVATE: Final = ["10.0.0.0/8", "172.16.0.0/12", "172.31.0.0/16", "192.168.0.0/16", "100.64.0.0/10",
    "100.127.255.0/24", "10.255.0.0/29", "172.20.0.0/29", "192.168.240.0/20", "100.100.0.0/19"]  # fmt: skip
PUBLIC: Final = ["11.0.0.0/8", "10.0.0.0/7", "172.15.0.0/16", "172.32.0.0/16", "172.16.0.0/11",
    "192.168.0.0/15", "192.169.0.0/16", "100.63.0.0/16", "100.128.0.0/16", "100.64.0.0/9", "10.0.0.0",
    "x10.0.0.0/8", "10.0.0.0/8x"]  # fmt: skip


def _patterns() -> dict[str, Any]:
    return runpy.run_path(str(patterns.__file__), run_name=patterns.__name__)


@pytest.mark.parametrize(
    ("field", "taken", "refused", "told"),
    [
        (addresses.mesh_network, PRIVATE, [*PUBLIC, "10.0.0.0/30"],
         "a private IPv4 network such as 10.10.0.0/24, /8 to /29"),
        (routes.route, [*PRIVATE, "10.1.2.3/32", "172.20.0.0/30", "192.168.4.4/31"], [*PUBLIC, "10.0.0.0/33"],
         "a private network such as 10.20.0.0/16 or fd20::/64"),
        (routes.route, ["fd00::/8", "fd20:1::/64", "fd20::9/128", "fd20::/100"],
         ["fc00::/7", "fd20::/129", "fd20::/7", "2001:db8::/32", "FD20::/64", "fd20::"],
         "a private network such as 10.20.0.0/16 or fd20::/64"),
        (routes.member, ["web-1", "10.0.0.0/8", "fd20::/64"], ["web 1", "fd20::1", "10.0.0.0/33"],
         f"{NAME.replace(': ', ' (')}) or a network such as 10.20.0.0/16"),
        (addresses.address, ["10.10.0.1", "255.255.255.255"], ["10.10.0.256", "10.10.0", "x10.10.0.1"],
         "an IPv4 address such as 10.10.0.1"),
        (addresses6.address6, ["fd1a:2b3c:4d5e::1"], ["FD1A::1", "10.10.0.1", "fd1a"],
         "an IPv6 address such as fd1a:2b3c:4d5e::1"),
        (addresses6.mesh_network6, ["fd1a:2b3c:4d5e::/48", "fd1a:2b3c:4d5e::/120"],
         ["fd1a:2b3c:4d5e::/47", "fd1a:2b3c:4d5e::/121", "fe1a::/64", "fd1a::"],
         "a private IPv6 network such as fd1a:2b3c:4d5e::/64, /48 to /120"),
        (grants.port_range, ["tcp/1", "udp/65535", "tcp/8000-8100"], ["tcp/0", "tcp/65536", "sctp/1", "80"],
         "a port such as tcp/443, udp/53 or tcp/8000-8100"),
        (names.host_name, ["a", "web-1", "a" * 48], ["", "-a", "a-", "A", "a" * 49], NAME),
        (fields.days, ["1d", "90d", "999d", "1000d", "2999d", "3599d", "3649d", "3650d"],
         ["0d", "01d", "3651d", "3660d", "3700d", "4000d", "10000d", "90", "12w", "90d "],
         "a number of days such as 90d, 1d to 3650d"),
        (fields.word("fsn1"), ["fsn1", "ubuntu-24.04", "a_b"], ["Fsn1", "-x", "a b", ""],
         "a name of lower-case letters, digits, dots and hyphens"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_a_pattern_takes_what_the_program_takes_and_tells_what_else_to_write(
    field: Callable[[object], object], taken: Sequence[str], refused: Sequence[str], told: str
) -> None:
    fragment = _patterns()["fragment_of"](field)
    assert fragment["type"] == "string"
    assert fragment["patternErrorMessage"] == f"Not {told}."
    schema = Draft202012Validator(fragment)
    for value in taken:
        field(value)
        assert schema.is_valid(value), value
    assert [value for value in refused if schema.is_valid(value)] == []


@pytest.mark.parametrize(
    ("field", "fragment"),
    [
        (fields.port_number, {"type": "integer", "minimum": 1, "maximum": 65535}),
        (fields.generation, {"type": "integer", "minimum": 1, "maximum": 999_999_999}),
        (fields.one_of("allow", "deny"), {"enum": ["allow", "deny"]}),
        (partial(machines.read_provider, KINDS), {"enum": list(KINDS)}),
        (partial(int, "7"), None),
        (len, None),
        ("text", None),
        ([], None),
    ],
)
def test_a_field_is_described_as_far_as_it_is_known(field: Any, fragment: dict[str, Any] | None) -> None:
    assert _patterns()["fragment_of"](field) == fragment


def test_formats_help_editors_with_addresses() -> None:
    fragment_of = _patterns()["fragment_of"]
    assert fragment_of(addresses.address)["format"] == "ipv4"
    assert fragment_of(addresses6.address6)["format"] == "ipv6"


def test_a_link_has_two_names() -> None:
    schema = Draft202012Validator(_patterns()["fragment_of"](topology.link))
    assert schema.is_valid(["web-1", "db"])
    assert not any(map(schema.is_valid, (["web-1"], ["a", "b", "c"], ["web-1", "DB"], "web-1")))


def test_a_fragment_that_is_changed_leaves_the_next_one_as_it_was() -> None:
    fragment_of = _patterns()["fragment_of"]
    for field in (fields.word("fsn1"), fields.mtu):
        fragment_of(field)["title"] = "changed"
        assert "title" not in fragment_of(field)
