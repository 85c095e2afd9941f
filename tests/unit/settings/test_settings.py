from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.settings import SettingsError, parse_settings


def _mesh(count: int, cidr: str) -> dict[str, Any]:
    nodes = {f"n-{i}": {"address": f"10.10.{i // 250}.{i % 250 + 1}"} for i in range(count)}
    return {"cidr": cidr, "nodes": nodes}


def test_300_nodes_fit_where_there_is_room() -> None:
    assert len(parse_settings(_mesh(300, "10.10.0.0/22")).nodes) == 300


def test_300_nodes_do_not_fit_into_a_slash_24() -> None:
    with pytest.raises(SettingsError) as error:
        parse_settings(_mesh(300, "10.10.0.0/24"))
    first = str(error.value.problems[0])
    assert first == "mesh.cidr: 10.10.0.0/24 has room for 254 nodes, but there are 300; widen the network"
    assert len(error.value.problems) == 1 + 50


def test_the_message_counts_the_mistakes_and_lists_each_on_a_line() -> None:
    with pytest.raises(SettingsError) as error:
        parse_settings({"cidr": "10.10.0.0/24", "port": 0, "nodes": {}})
    assert str(error.value) == (
        "the stack file has 2 mistakes:\n"
        "  mesh.port: 0 is below 1; ports go from 1 to 65535\n"
        "  mesh.nodes: is empty; a mesh has at least one node: write nodes: {web-1: {address: 10.10.0.1}}"
    )


def test_the_path_starts_where_the_caller_says() -> None:
    with pytest.raises(SettingsError, match=r"^the stack file has 1 mistake:\n  prod: 5 is not a mapping"):
        parse_settings(5, where="prod")


def test_settings_cannot_be_changed_after_they_were_checked() -> None:
    settings = parse_settings(_mesh(1, "10.10.0.0/24"))
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner),
    max_leaves=8,
)
_KEYS = st.sampled_from(
    ["cidr", "port", "mtu", "ssh", "defaults", "nodes", "policy", "policyTests", "rollout", "clients"]
)
_NODE = st.dictionaries(
    st.sampled_from(["address", "location", "public", "forward", "groups", "enabled"]), _ANYTHING
)


@given(
    st.dictionaries(_KEYS, _ANYTHING),
    st.dictionaries(st.text(max_size=5), _NODE | _ANYTHING, max_size=3) | _ANYTHING,
)
def test_whatever_the_file_holds_the_answer_is_settings_or_problems(raw: dict[str, Any], nodes: Any) -> None:
    try:
        settings = parse_settings({**raw, "nodes": nodes})
    except SettingsError as error:
        words = [str(problem) for problem in error.problems]
        assert words
    else:
        assert {name: str(node.address) for name, node in settings.nodes.items()} == {
            name: node["address"] for name, node in nodes.items()
        }
        return
    for word in words:
        assert word.startswith("mesh")
        assert "\n" not in word
        assert "pydantic" not in word
        assert "validator" not in word
