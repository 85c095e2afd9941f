from typing import Any

import pytest

from mesh.plan import key_version
from tests.unit.meshes import plan_of


def _mesh(rotation: Any = None, **own: Any) -> dict[str, Any]:
    nodes = {"web-1": {"address": "10.10.0.1", **own}, "db-1": {"address": "10.10.0.11"}}
    rotates = {} if rotation is None else {"rotation": rotation}
    return {"cidr": "10.10.0.0/24", "nodes": nodes, **rotates}


def test_without_rotation_every_key_is_the_first_one_and_there_is_one_port() -> None:
    plan = plan_of(_mesh())
    assert plan.rotation is None
    assert plan.preshared_version == 1
    assert {(node.key_version, node.overlay.next_port) for node in plan.nodes.values()} == {(1, None)}


def test_a_key_is_another_one_whenever_one_of_its_two_numbers_rises() -> None:
    plan = plan_of(_mesh({"generation": 3, "preshared": 5}, generation=4))
    assert {name: node.key_version for name, node in plan.nodes.items()} == {"web-1": 6, "db-1": 3}
    assert plan.preshared_version == 5
    assert key_version(1, 1) == 1


@pytest.mark.parametrize(("port", "second"), [(51820, 51821), (1, 2), (65534, 65535), (65535, 65534)])
def test_the_second_port_is_a_neighbour_of_the_first(port: int, second: int) -> None:
    plan = plan_of({**_mesh({}), "port": port})
    assert {node.overlay.next_port for node in plan.nodes.values()} == {second}


def test_the_numbers_are_kept_without_those_that_say_nothing() -> None:
    plan = plan_of(_mesh({}, generation=2, revoked=True))
    assert plan.rotation is not None
    assert (plan.rotation.mesh, plan.rotation.preshared) == (1, 1)
    assert plan.rotation.nodes == {"web-1": 2}
    assert plan.rotation.out == plan.rotation.revoked == ("web-1",)
    out = plan_of(_mesh({}, enabled=False)).rotation
    assert out is not None
    assert (out.out, out.revoked) == (("web-1",), ())


def test_a_revoked_node_is_nobodys_peer() -> None:
    plan = plan_of(_mesh({}, revoked=True))
    assert not plan.nodes["web-1"].enabled
    assert plan.nodes["db-1"].peers == ()


def test_devices_are_told_from_nodes_that_call() -> None:
    clients = {"laptop": {"address": "10.10.0.200", "to": ["db-1"]}}
    plan = plan_of({**_mesh({}, endpoint="none"), "clients": clients})
    assert [(peer.name, peer.calls, peer.client) for peer in plan.nodes["db-1"].peers] == [
        ("web-1", True, False),
        ("laptop", True, True),
    ]


def test_the_highest_age_of_a_key_is_a_number_of_days_or_none() -> None:
    for rotation, days in (({"maxAge": "90d"}, 90), ({}, None)):
        planned = plan_of(_mesh(rotation)).rotation
        assert planned is not None
        assert planned.max_age == days
