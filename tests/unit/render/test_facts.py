from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.render import UNKNOWN, UNKNOWN_TEXT, Endpoint, parse_endpoint


@given(st.ip_addresses(), st.integers(1, 65535))
def test_an_endpoint_is_read_as_it_is_written(address: str, port: int) -> None:
    endpoint = Endpoint(address=ip_address(address), port=port)
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize("text", ["192.0.2.1:1", "192.0.2.1:65535", "[2001:db8::1]:51820"])
def test_the_lowest_and_the_highest_port_are_ports(text: str) -> None:
    assert str(parse_endpoint(text)) == text


def test_an_ipv6_endpoint_is_written_in_brackets() -> None:
    assert str(Endpoint(address=ip_address("2001:db8::1"), port=51820)) == "[2001:db8::1]:51820"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "192.0.2.1:051820",
        "[192.0.2.1]:51820",
        "2001:db8::1:51820",
        "[2001:db8::1]",
        "web-1:51820",
        "192.0.2.1:51820\n",
        UNKNOWN_TEXT,
    ],
)
def test_what_is_no_endpoint_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="address") as refused:
        parse_endpoint(text)
    assert str(refused.value) == f"{text!r} is not an address and a port such as 192.0.2.1:51820"


def test_what_is_not_known_reads_so() -> None:
    assert f"{UNKNOWN}" == UNKNOWN_TEXT
