"""Servers that are there already: which addresses nodes can reach, and what is asked of each server."""

from typing import Any

import pytest

from mesh.settings.static import StaticMachine, check_static, host_address, login, second_address
from tests.unit.refusals import refusal


@pytest.mark.parametrize(
    "value",
    [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "169.254.1.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "ff02::1",
    ],
)
def test_an_address_that_no_other_node_reaches_is_refused(value: str) -> None:
    assert refusal(host_address, value) == (
        f"{value} is no address that other nodes can reach; write the server's public address"
    )


@pytest.mark.parametrize("value", ["1.0.0.1", "10.1.2.3", "203.0.113.7", "2001:db8::7", "64:ff9b::1"])
def test_any_other_address_can_be_a_servers(value: str) -> None:
    assert host_address(value) == value
    assert host_address(f" {value} ") == value


def test_a_second_address_is_an_ipv6_address() -> None:
    assert second_address("2001:db8::7") == "2001:db8::7"
    assert refusal(second_address, "203.0.113.7") == (
        "203.0.113.7 is an IPv4 address; write it at `host`, and the IPv6 address here"
    )


@pytest.mark.parametrize(
    ("keys", "families"),
    [
        ({"host": "203.0.113.7"}, ("ipv4",)),
        ({"host": "203.0.113.7", "hostIpv6": "2001:db8::7"}, ("ipv4", "ipv6")),
        ({"host": "2001:db8::7"}, ("ipv6",)),
        ({}, ("ipv4",)),
    ],
)
def test_a_server_has_the_families_of_its_addresses(keys: dict[str, str], families: tuple[str, ...]) -> None:
    assert StaticMachine.model_validate(keys).families == families


@pytest.mark.parametrize("value", ["root", "_apt", "a", "a" * 32, "web-1_x"])
def test_a_user_is_taken(value: str) -> None:
    assert login(value) == value


@pytest.mark.parametrize("value", ["", "a" * 33, "1root", "-x", "Root", "a b"])
def test_what_is_no_user_is_refused(value: str) -> None:
    assert refusal(login, value) == f"'{value}' is not the name of a user such as root or debian"


def test_a_node_that_cannot_be_read_hides_no_other() -> None:
    raw: dict[str, Any] = {"cidr": "10.10.0.0/24", "nodes": {"odd": 7, "a": {"host": "203.0.113.7"}}}
    assert [place for place, _ in check_static(raw, None, "mesh")] == [("nodes", "a", "hostKey")]  # type: ignore[misc]
