"""What a relay does not carry is refused, whatever else the mesh has."""

from typing import Any

from mesh.settings.callers import check_callers

NODES: dict[str, Any] = {
    "hub": {"address": "10.10.0.1", "routes": ["10.30.0.0/16"]},
    "a": {"address": "10.10.0.3", "endpoint": "none", "relay": "hub", "routes": ["10.20.0.0/16"]},
    "b": {"address": "10.10.0.4", "endpoint": "none"},
}


def test_networks_behind_a_relayed_node_are_refused() -> None:
    ((place, told),) = check_callers({"nodes": NODES})
    assert place == ("nodes", "a", "routes")
    assert told == (
        "b reaches a over a relay, and a relay passes on nothing for networks behind a node; put the "
        "networks behind a node that has an endpoint, or leave a and b out with links"
    )


def test_without_a_relayed_pair_they_are_right() -> None:
    alone = {name: node for name, node in NODES.items() if name != "b"}
    assert list(check_callers({"nodes": alone})) == []
    assert list(check_callers({"nodes": NODES, "links": [["hub", "all"]]})) == []
