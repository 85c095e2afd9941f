"""The MTU of each pair, and of the interface that carries them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.meshes import THREE, meshes, plan_of


def _mesh(**underlays: int | None) -> dict[str, Any]:
    nodes = {
        name: {"address": f"10.10.0.{index}"} | ({} if size is None else {"underlayMtu": size})
        for index, (name, size) in enumerate(underlays.items(), 1)
    }
    return {"cidr": "10.10.0.0/24", "nodes": nodes}


def _sizes(raw: dict[str, Any]) -> dict[str, tuple[int, dict[str, int]]]:
    return {
        name: (node.overlay.mtu, {peer.name: peer.mtu for peer in node.peers})
        for name, node in plan_of(raw).nodes.items()
    }


def test_one_narrow_node_costs_the_other_pairs_nothing() -> None:
    assert _sizes(_mesh(a=None, b=None, vswitch=1400)) == {
        "a": (1420, {"b": 1420, "vswitch": 1320}),
        "b": (1420, {"a": 1420, "vswitch": 1320}),
        "vswitch": (1320, {"a": 1320, "b": 1320}),
    }


def test_large_packets_need_both_ends() -> None:
    assert _sizes(_mesh(a=9000, b=9000, c=None)) == {
        "a": (8920, {"b": 8920, "c": 1420}),
        "b": (8920, {"a": 8920, "c": 1420}),
        "c": (1420, {"a": 1420, "b": 1420}),
    }


def test_an_interface_is_never_too_small_for_ipv6() -> None:
    assert _sizes(_mesh(a=1280, b=None)) == {"a": (1280, {"b": 1200}), "b": (1280, {"a": 1200})}


def test_the_defaults_count_for_every_node_that_says_nothing_else() -> None:
    raw = {**_mesh(a=None, b=None, c=1400), "defaults": {"underlayMtu": 1450}}
    assert _sizes(raw)["a"] == (1370, {"b": 1370, "c": 1320})


@pytest.mark.parametrize("fixed", [1280, 1300, 1320])
def test_a_given_mtu_is_that_of_every_pair(fixed: int) -> None:
    raw = {**_mesh(a=None, b=1400), "mtu": fixed}
    assert _sizes(raw) == {"a": (fixed, {"b": fixed}), "b": (fixed, {"a": fixed})}


def test_a_node_alone_has_what_the_internet_carries() -> None:
    assert _sizes(_mesh(a=1400)) == {"a": (1420, {})}


def test_without_underlays_nothing_is_narrow() -> None:
    assert {name: mtu for name, (mtu, _) in _sizes(THREE).items()} == dict.fromkeys(THREE["nodes"], 1420)


@given(meshes(), st.data())
def test_each_pair_is_as_wide_as_its_narrower_end_and_the_interface_as_its_widest_pair(
    raw: dict[str, Any], data: st.DataObject
) -> None:
    ends = {name: data.draw(st.none() | st.integers(1280, 9000)) for name in raw["nodes"]}
    for name, size in ends.items():
        raw["nodes"][name] |= {} if size is None else {"underlayMtu": size}
    for name, (interface, pairs) in _sizes(raw).items():
        for peer, size in pairs.items():
            assert size == min(ends[name] or 1500, ends[peer] or 1500) - 80
        assert interface == max([1280, *pairs.values()] if pairs else [1420])
