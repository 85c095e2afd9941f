"""Which states Pulumi would read from us, and which of Pulumi's we read."""

import json

import pytest

from lab.engine.deploy.secrecy import mark_outputs
from lab.engine.state.checkpoint import Checkpoint
from lab.engine.state.format import refusal, stamp
from lab.engine.state.model import ResourceState, Snapshot
from lab.engine.state.secrets import Crypter
from lab.engine.values import Secret

HOOKED = {"urn": "urn:a", "resourceHooks": {"OnError": ["again"]}}


def test_a_state_with_hooks_says_so() -> None:
    assert stamp({"resources": [{"urn": "urn:a"}]}) == {"version": 3}
    assert stamp({"resources": [HOOKED, {"urn": "urn:b", "replaceWith": ["urn:a"]}]}) == {
        "version": 4, "features": ["hooks", "replaceWith"],
    }  # fmt: skip
    assert stamp({}) == {"version": 3}


@pytest.mark.parametrize("document", [{"version": 3}, {"version": 4, "features": ["hooks"]}])
def test_what_both_engines_write_is_read(document: dict[str, object]) -> None:
    assert refusal(document) is None


def test_what_would_be_misread_is_refused() -> None:
    assert refusal({"version": 5}) == "has version 5, but this engine reads only versions 3 and 4"
    assert (
        refusal({"version": 4, "features": ["taint"]}) == "uses taint, but this engine does not support that"
    )


def test_a_secret_in_a_secret_stays_one() -> None:
    marked = mark_outputs({"a": {"b": 1, "c": 2}}, {"a": Secret({"b": Secret(1), "c": 2})}, ())
    assert marked == {"a": Secret({"b": Secret(1), "c": 2})}


def test_a_secret_in_a_secret_is_encrypted_once() -> None:
    """As Pulumi stores it: the inner one is text with a secret's signature."""
    crypter = Crypter.create("known")
    inputs = {"connection": Secret({"host": "a", "privateKey": Secret("k")})}
    resource = ResourceState(urn="urn:pulumi:s::p::t::n", type="t", custom=True, inputs=inputs)
    dumped = json.loads(Checkpoint(crypter).encode(Snapshot(resources=[resource])))
    sealed = dumped["resources"][0]["inputs"]["connection"]["ciphertext"]
    assert json.loads(crypter.decrypt(sealed))["privateKey"]["ciphertext"] == '"k"'
    assert Checkpoint(crypter).load(dumped).resources[0].inputs == inputs
