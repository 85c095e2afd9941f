"""Clients in the program: a key of its own in the state, and secrets in the outputs that stay secret."""

from typing import Any

from tests.unit.program.recording import is_secret, run, value_of

MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "nodes": {"a": {"address": "10.10.0.1"}},
    "clients": {
        "laptop": {"address": "10.10.0.200", "to": ["a"]},
        "phone": {
            "address": "10.10.0.201",
            "to": ["a"],
            "publicKey": "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
        },
    },
}


def test_a_client_has_a_generated_key_unless_its_own_is_given() -> None:
    recording = run(MESH)
    assert "client_laptop" in recording.resources
    assert "client_phone" not in recording.resources
    assert is_secret(recording["client_laptop"].inputs["input"])
    assert set(recording.resources) - set(run({**MESH, "clients": {}}).resources) == {"client_laptop"}
    clients = recording.mesh.outputs["clients"]
    assert set(clients["phone"]) == {"address", "enabled", "mtu", "public_key", "peers"}
    assert len(value_of(clients["laptop"]["private_key"])) == 44
    assert len(value_of(clients["laptop"]["peers"][0]["preshared_key"])) == 44


def test_no_clients_leave_no_trace_in_the_outputs() -> None:
    assert "clients" not in run({**MESH, "clients": {}}).mesh.outputs
