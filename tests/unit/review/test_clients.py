"""A review tells of people's devices: what a new one reaches, and what is lost with one that is taken out."""

from typing import Any

from mesh.review.nodes import read_disabled, read_nodes
from mesh.review.preview import read_preview
from mesh.review.reach import Reach, compare_reach
from tests.unit.review.previews import preview_of

BEFORE: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "nodes": {"bastion": {"address": "10.10.0.1"}, "db-1": {"address": "10.10.0.2"}},
    "policy": [{"from": ["people"], "to": ["bastion"], "allow": ["tcp/22"]}],
    "clients": {"phone": {"address": "10.10.0.201", "to": ["bastion"], "groups": ["people"]}},
}
LAPTOP = {"address": "10.10.0.200", "to": ["bastion"], "groups": ["people"]}
AFTER = {**BEFORE, "clients": {**BEFORE["clients"], "laptop": LAPTOP}}


def _reach(before: dict[str, Any], after: dict[str, Any]) -> Reach:
    preview = read_preview(preview_of(before, after))
    reach = compare_reach(read_nodes(preview), read_disabled(preview))
    assert reach.untold == {}
    return reach


def test_a_new_client_reaches_what_the_policy_says_once_it_has_its_configuration() -> None:
    found = {(str(each.source), str(each.target)): each for each in _reach(BEFORE, AFTER).gained}
    assert set(found) == {("laptop", "bastion"), ("bastion", "laptop")}
    reached = found["laptop", "bastion"]
    assert str(reached.traffic) == "tcp/22, ping"
    assert "once the device has its configuration" in reached.note
    assert "not in this preview" not in reached.note


def test_a_client_that_is_taken_out_reaches_nothing() -> None:
    reach = _reach(AFTER, BEFORE)
    assert {(str(each.source), str(each.target)) for each in reach.lost} == {
        ("laptop", "bastion"),
        ("bastion", "laptop"),
    }
    assert reach.gained == []
