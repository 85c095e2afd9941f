"""Clients in the program: a key of its own in the state, and secrets in the outputs that stay secret."""

from typing import Any

from mesh.names import STASH
from mesh.program.clients import gone
from mesh.program.previous import Previous
from tests.unit.meshes import plan_of
from tests.unit.program.recording import is_kept_secret, is_secret, run, value_of

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
    kept = [
        clients["laptop"]["private_key"],
        *(each["peers"][0]["preshared_key"] for each in clients.values()),
    ]
    assert [is_kept_secret(each) for each in kept] == [True, True, True]
    assert not is_kept_secret(clients["laptop"]["public_key"])


def test_no_clients_leave_no_trace_in_the_outputs() -> None:
    assert "clients" not in run({**MESH, "clients": {}}).mesh.outputs


def test_a_client_that_loses_its_tunnels_is_told_before_it_happens() -> None:
    caller = {"public_key": "x", "endpoint": "none"}
    node = {"public_key": "x", "endpoint": "192.0.2.1:51820"}
    before = Previous(
        nodes={"a": {}, "home": {}},
        records={
            (STASH, "directory"): {
                "input": {"a": node, "home": caller, "laptop": caller, "phone": caller, "tablet": caller}
            },
            (STASH, "client_laptop"): {"output": "key"},
        },
    )
    kept = {"tablet": {"address": "10.10.0.202", "to": ["a"]}}
    told = list(gone(plan_of({**MESH, "clients": kept}).clients, before))
    assert told == [
        (
            "laptop is not among the clients any more: its tunnels end within this `up`, and its key is "
            "deleted. If it comes back, its device needs a new configuration"
        ),
        "phone is not among the clients any more: its tunnels end within this `up`",
    ]
    off = {"tablet": {**kept["tablet"], "enabled": False}}
    (*_, last) = gone(plan_of({**MESH, "clients": off}).clients, before)
    assert last == (
        "tablet is not enabled any more: its tunnels end within this `up`; its key and its address stay"
    )
