"""What is asked of the cloud stays within its limits, whatever the stack file says."""

import json
from typing import Any

import pytest

from mesh.program.keys import first_contact_key
from mesh.program.machines.cloud_init import user_data
from tests.unit.program.recording import run

_MOST_USER_DATA = 32 << 10  # bytes: Hetzner's API document, POST /servers


def _rules(public: list[str]) -> list[Any]:
    recording = run({"cidr": "10.10.0.0/24", "nodes": {"a": {"address": "10.10.0.1", "public": public}}})
    (firewall,) = recording.of_type("Firewall")
    return [rule for rule in firewall.inputs["rules"] if rule["description"] == "public"]


def test_neighbouring_ports_are_one_rule() -> None:
    ports = [f"udp/{number}" for number in range(27000, 27060)]
    found = _rules([*ports, "tcp/444", "tcp/80", "tcp/443", "tcp/445-450"])
    assert [(rule["protocol"], rule["port"]) for rule in found] == [
        ("tcp", "80"),
        ("tcp", "443-450"),
        ("udp", "27000-27059"),
    ]


def test_a_firewall_that_is_as_full_as_it_may_be_is_within_the_limit() -> None:
    found = _rules([f"tcp/{1000 + 2 * number}" for number in range(45)])
    assert len(found) + 3 <= 50


@pytest.mark.parametrize("port", [22, 65535])
def test_user_data_is_within_the_limit(port: int) -> None:
    text = user_data("a" * 48, first_contact_key(), "ecdsa-sha2-nistp256 " + "A" * 140, ssh_port=port)
    assert len(json.dumps(text).encode()) < _MOST_USER_DATA / 4
