"""What the engine and the cloud are asked to protect, and that every key is behind a protected resource."""

from typing import Any

from tests.unit.program.recording import Recording, run

NODES: dict[str, Any] = {
    "a": {"address": "10.10.0.1"},
    "b": {"address": "10.10.0.2", "protect": False},
    "off": {"address": "10.10.0.3", "enabled": False},
}
MESH: dict[str, Any] = {"cidr": "10.10.0.0/24", "nodes": NODES}


def _protected(recording: Recording) -> set[str]:
    return {each.name for each in recording.resources.values() if each.request.protect}


def _in_the_cloud(recording: Recording) -> set[str]:
    found = recording.resources.values()
    return {each.name for each in found if "deleteProtection" in each.inputs}


def test_of_a_protected_node_server_address_and_commit_are_protected() -> None:
    made = run({**MESH, "protect": True})
    expected = {f"{node}-{part}" for node in ("a", "off") for part in ("server", "ip")}
    assert _protected(made) == {*expected, "a-apply", "off-apply"}
    assert _in_the_cloud(made) == expected
    for name in expected:
        inputs = made.resources[name].inputs
        assert inputs["deleteProtection"] is True
        assert inputs.get("rebuildProtection", True) is True, "the cloud wants both to be the same"


def test_without_protection_nothing_is_asked_for_that_an_older_stack_does_not_have() -> None:
    plain = run(MESH)
    assert _protected(plain) == set()
    assert _in_the_cloud(plain) == set()


def test_a_protected_commit_needs_every_key_of_its_node_and_of_the_mesh() -> None:
    made = run({**MESH, "protect": True})
    behind: set[str] = set()
    waiting = ["a-apply"]
    while waiting:
        name = waiting.pop()
        if name not in behind and name in made.resources:
            behind.add(name)
            waiting += made.resources[name].dependencies
    assert behind >= {"management-key", "preshared-root", "a-identity", "a-host-key", "a-first-contact-key"}
