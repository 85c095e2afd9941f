"""What is known before the first step, with a state that is given and no cloud to ask."""

from typing import Any

import pulumi
import pytest

from mesh.program.ahead import look_ahead
from mesh.program.machines.hetzner.api import CloudAccess
from mesh.program.machines.hetzner.records import ADDRESS, SERVER
from mesh.program.previous import Previous
from mesh.settings import SettingsError
from tests.unit.meshes import plan_of

_GROUP = "hcloud:index/placementGroup:PlacementGroup"
FACTS: dict[str, Any] = {
    "id": "7",
    "location": "fsn1",
    "serverType": "cx23",
    "image": "debian-12",
    "primaryDiskSize": 40.0,
    "placementGroupId": 31.0,
}
PUBLIC = {"ipAddress": "192.0.2.7", "location": "fsn1"}


Node = tuple[str, dict[str, Any]]


def _node(address: str, **server: Any) -> Node:
    return address, {**FACTS, **server}


def _previous(**nodes: Node) -> Previous:
    records: dict[tuple[str, str], Any] = {
        (_GROUP, "spread-0"): {"id": "31"},
        (_GROUP, "spread-1"): {"id": "32"},
        ("pulumi:pulumi:Stack", "wireguard-mesh-test"): {
            "nodes": {name: {"address": address, "enabled": True} for name, (address, _) in nodes.items()}
        },
    }
    for name, (_, server) in nodes.items():
        records |= {
            ("wireguard-mesh:index:Node", name): {},
            (SERVER, f"{name}-server"): server,
            (ADDRESS, f"{name}-ip"): PUBLIC,
        }
    return Previous(records=records)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", found.append)
    monkeypatch.setattr(CloudAccess, "configured", lambda: CloudAccess(token=None, endpoint=None))
    return found


def _look(raw: dict[str, Any], previous: Previous) -> Any:
    return look_ahead(plan_of(raw), raw, previous)


def test_what_is_lost_is_warned_of_in_a_line_for_each_node(said: list[str]) -> None:
    raw = {
        "cidr": "10.10.0.0/24",
        "defaults": {"location": "hel1"},
        "nodes": {
            "a": {"address": "10.10.0.1"},
            "b": {"address": "10.10.0.2", "location": "fsn1", "type": "cx33"},
        },
    }
    told = _look(raw, _previous(a=_node("10.10.0.1"), b=_node("10.10.0.2"), c=_node("10.10.0.3")))
    assert sorted(told) == ["a", "b", "c"]
    assert sorted(words.split()[0] for words in said) == ["a", "b", "c"]
    assert all("\n" not in words for words in said)


def test_a_full_group_is_refused_before_anything_is_asked(said: list[str]) -> None:
    nodes = {f"n-{number}": _node(f"10.10.0.{number}") for number in range(1, 10)}
    moved = _node("10.10.0.10", placementGroupId=31.0)
    raw: dict[str, Any] = {
        "cidr": "10.10.0.0/24",
        "nodes": {
            **{name: {"address": node[0]} for name, node in nodes.items()},
            "moved": {"address": "10.10.0.10"},
        },
    }
    assert _look(raw, _previous(**nodes, moved=moved)) == {}
    raw["nodes"].pop("n-9")
    raw["nodes"].update({"n-9": {"address": "10.10.0.11"}, "late": {"address": "10.10.0.9"}})
    with pytest.raises(
        SettingsError, match=r"mesh\.nodes\.late\.address: 10\.10\.0\.9 would make late the eleventh"
    ):
        _look(raw, _previous(**nodes, moved=moved))


def test_an_engine_that_cannot_say_what_was_is_told(said: list[str]) -> None:
    raw = {"cidr": "10.10.0.0/24", "nodes": {"a": {"address": "10.10.0.1"}}}
    assert _look(raw, Previous(unread="no backend client is available")) == {}
    (told,) = said
    assert told.startswith(
        "could not read the stack's former state (no backend client is available), so this run cannot warn"
    )


def test_pairs_that_lose_their_link_are_warned_of(said: list[str]) -> None:
    nodes = {name: {"address": f"10.10.0.{number}"} for number, name in enumerate("abc", 1)}
    was = _previous(**{name: _node(node["address"]) for name, node in nodes.items()})
    star = {"cidr": "10.10.0.0/24", "nodes": nodes, "links": [["a", "all"]]}
    assert _look({"cidr": "10.10.0.0/24", "nodes": nodes}, was) == {}
    assert list(_look(star, was)) == ["b"]
    assert said == ["b has no link with c any more (links): connections between both ends are cut off"]
    told = was.records["pulumi:pulumi:Stack", "wireguard-mesh-test"]["nodes"]
    for name, reaches in {"a": ["b", "c"], "b": ["a"], "c": ["a"]}.items():
        told[name]["reaches"] = reaches
    assert _look(star, was) == {}
