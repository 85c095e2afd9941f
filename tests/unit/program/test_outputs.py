import asyncio
from typing import Any

import pulumi

from mesh.remote import read_secret_input
from tests.unit.program.recording import run, value_of

MESH: dict[str, Any] = {"cidr": "10.10.0.0/24", "nodes": {"a": {"address": "10.10.0.1"}}}


def _secret(output: pulumi.Output[Any]) -> bool:
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(output.is_secret())
    finally:
        loop.close()


def test_outputs_tell_how_to_reach_a_node_and_hide_the_key() -> None:
    mesh = run(MESH).mesh
    facts = mesh.nodes["a"]
    assert (facts["address"], facts["ssh_port"], facts["enabled"]) == ("10.10.0.1", 22, True)
    assert value_of(facts["public_ip"]).startswith("192.0.2.")
    assert len(value_of(facts["public_key"])) == 44
    assert value_of(facts["host_key"]).startswith("ssh-ed25519 ")
    assert not any(_secret(facts[name]) for name in ("public_ip", "public_key", "host_key"))
    assert _secret(mesh.ssh_private_key)
    assert "PRIVATE KEY" in value_of(mesh.ssh_private_key)


def test_only_where_links_limit_them_outputs_tell_whom_a_node_reaches() -> None:
    nodes = {name: {"address": f"10.10.0.{number}"} for number, name in enumerate("abc", 1)}
    whole = run({**MESH, "nodes": nodes}).mesh
    assert not any("reaches" in facts for facts in whole.nodes.values())
    star = run({**MESH, "nodes": nodes, "links": [["a", "all"]]}).mesh
    assert {name: facts["reaches"] for name, facts in star.nodes.items()} == {
        "a": ["b", "c"],
        "b": ["a"],
        "c": ["a"],
    }


def test_a_pair_without_a_link_has_no_pre_shared_key() -> None:
    nodes = {name: {"address": f"10.10.0.{number}"} for number, name in enumerate("abc", 1)}
    made = run({**MESH, "nodes": nodes, "links": [["a", "all"]]})
    keys = {name: read_secret_input(made[f"{name}-keys"].inputs["stdin"]["value"])["keys"] for name in "abc"}
    assert {name: len(found) for name, found in keys.items()} == {"a": 3, "b": 2, "c": 2}
