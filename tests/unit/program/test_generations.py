"""Numbers of keys against the state: what is refused before anything is changed, and what is kept."""

import copy
from typing import Any

import pytest

from mesh.names import MeshNames
from mesh.program.access import committed_doors
from mesh.program.former import former_names
from mesh.program.generations import (
    NO_ROTATION,
    generations_of,
    refuse_generations,
    replaced,
    wanted_generations,
)
from mesh.program.previous import Previous
from tests.unit.meshes import plan_of
from tests.unit.program.recording import Recording, previous_of, run

MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "rotation": {"generation": 3, "preshared": 2},
    "nodes": {
        "web-1": {"address": "10.10.0.1", "generation": 4},
        "db-1": {"address": "10.10.0.11"},
    },
}


def _mesh(nodes: Any = (), **more: Any) -> dict[str, Any]:
    found = copy.deepcopy({**MESH, **more})
    for name, keys in dict(nodes).items():
        found["nodes"][name] = {**found["nodes"].get(name, {}), **keys}
    return {key: value for key, value in found.items() if value is not None}


@pytest.fixture(scope="module")
def up() -> Recording:
    return run(MESH)


def _told(mesh: Any, existing: Recording | None) -> list[str]:
    plan, names = plan_of(mesh), MeshNames("mesh")
    before = previous_of(existing).of(names, former_names(plan))
    doors = {name: found for name in plan.nodes if (found := committed_doors(before, name)) is not None}
    return [str(problem) for problem in refuse_generations(plan, before, doors)]


def test_the_same_numbers_and_higher_ones_are_taken(up: Recording) -> None:
    assert _told(MESH, up) == []
    assert _told(_mesh({"db-1": {"generation": 7}}, rotation={"generation": 4, "preshared": 3}), up) == []


def test_a_new_mesh_may_begin_with_any_numbers() -> None:
    assert _told(MESH, None) == []


def test_a_lower_number_is_refused_with_the_one_in_force(up: Recording) -> None:
    lower = _mesh({"web-1": {"generation": 2}}, rotation={"generation": 2})
    kept = "keys that were replaced do not come back"
    assert _told(lower, up) == [
        (
            f"mesh.rotation.generation: 2 is lower than 3, which is in force: {kept}; write 3, or a higher "
            f"number "
            "for new keys"
        ),
        (
            f"mesh.rotation.preshared: 1 is lower than 2, which is in force: {kept}; write 2, or a higher "
            f"number "
            "for new keys"
        ),
        (
            f"mesh.nodes.web-1.generation: 2 is lower than 4, which is in force: {kept}; write 4, or a "
            f"higher "
            "number for new keys"
        ),
    ]


def test_ssh_keys_have_a_number_of_their_own_that_no_rotation_waits_for(up: Recording) -> None:
    numbers = {**MESH["rotation"], "ssh": 2}
    again = run(_mesh(rotation=numbers), existing=up)
    assert _told(_mesh(rotation=numbers), again) == []
    assert [each.partition(":")[0] for each in _told(MESH, again)] == ["mesh.rotation.ssh"]
    assert [
        each.partition(":")[0] for each in _told(_mesh({"web-1": {"generation": 1}}, rotation=None), again)
    ] == ["mesh.rotation"]
    plan, there = plan_of(_mesh(rotation=numbers)), ("web-1", "db-1")
    assert not replaced(generations_of(up["generations"].inputs["input"]), plan, there)


def test_a_renamed_node_keeps_its_number(up: Recording) -> None:
    renamed = _mesh({"front": {**MESH["nodes"]["web-1"], "formerly": ["web-1"]}})
    del renamed["nodes"]["web-1"]
    assert _told(renamed, up) == []
    renamed["nodes"]["front"]["generation"] = 3
    assert [each.partition(":")[0] for each in _told(renamed, up)] == ["mesh.nodes.front.generation"]


def test_rotation_is_not_removed_once_a_key_was_replaced(up: Recording) -> None:
    without = _mesh({"web-1": {"generation": 1}}, rotation=None)
    assert _told(without, up) == [
        (
            "mesh.rotation: is missing, but keys were replaced before (generation 3, preshared 2, ssh 1): "
            "without it, the nodes would get other keys at once, and lose each other; write it again, with "
            "these numbers"
        ),
    ]
    assert _told(without, run({**without, "rotation": {}})) == []


def test_keys_are_not_replaced_while_the_port_moves(up: Recording) -> None:
    assert _told(_mesh(port=51830), up) == []
    assert _told(_mesh(port=51830, rotation={"generation": 4, "preshared": 2}), up) == [
        (
            "mesh.rotation.generation: WireGuard's port moves (mesh.port) on web-1, db-1; write 3 here, run "
            "`up` "
            "until no port moves, then replace keys"
        ),
    ]
    moving = run(_mesh(port=51830), existing=up)
    assert len(_told(_mesh({"db-1": {"generation": 2}}, port=51830), moving)) == 1
    moved = run(_mesh(port=51830), existing=run(_mesh(port=51830), existing=moving))
    assert _told(_mesh({"db-1": {"generation": 2}}, port=51830), moved) == []


def test_keys_are_not_replaced_in_the_run_that_renames_a_node(up: Recording) -> None:
    renamed = _mesh({"front": {**MESH["nodes"]["web-1"], "formerly": ["web-1"]}, "db-1": {"generation": 2}})
    del renamed["nodes"]["web-1"]
    assert _told(renamed, up) == [
        (
            "mesh.nodes.db-1.generation: nodes are renamed in this run (web-1 to front); write 1 here, run "
            "`up` "
            "until that is done, then replace keys"
        ),
    ]
    del renamed["nodes"]["db-1"]["generation"]
    after = run(renamed, existing=up)
    renamed["nodes"]["db-1"]["generation"] = 2
    assert _told(renamed, after) == []


def test_the_port_does_not_move_while_keys_are_being_replaced(up: Recording) -> None:
    raised = _mesh(rotation={"generation": 4, "preshared": 2})
    held = run(raised, existing=up)
    held.state[held["rotation"].urn] = up.state[up["rotation"].urn]  # its hook failed
    assert _told(raised, held) == []
    assert _told({**raised, "port": 51830}, held) == [
        (
            "mesh.port: 51830 is not the port that the nodes have, and their keys are being replaced; write "
            "51820, run `up` until the rotation is done, then move the port"
        ),
    ]


def test_a_revoked_node_comes_back_with_another_key_only(up: Recording) -> None:
    revoked = run(_mesh({"web-1": {"revoked": True}}), existing=up)
    assert _told(_mesh({"web-1": {"revoked": True}}), revoked) == []
    assert _told(MESH, revoked) == [
        (
            "mesh.nodes.web-1.revoked: web-1 was revoked, and would come back with the very key that is not "
            "trusted; write `generation: 5` beside, which gives web-1 another key"
        ),
    ]
    assert len(_told(_mesh({"web-1": {"enabled": False}}), revoked)) == 1
    assert _told(_mesh({"web-1": {"generation": 5}}), revoked) == []
    assert _told(_mesh(rotation={"generation": 4, "preshared": 2}), revoked) == []


def _wanted(mesh: Any, existing: Recording | None) -> Any:
    plan, names = plan_of(mesh), MeshNames("mesh")
    return wanted_generations(plan, previous_of(existing).of(names, former_names(plan)))


def test_the_key_that_is_not_trusted_is_the_one_that_was_in_force_when_the_node_was_revoked(
    up: Recording,
) -> None:
    at_once = _mesh({"web-1": {"revoked": True, "generation": 5}})
    assert _wanted(at_once, up).revoked == {"web-1": 6}
    revoked = run(at_once, existing=up)
    assert _wanted(_mesh({"web-1": {"revoked": True, "generation": 9}}), revoked).revoked == {"web-1": 6}
    assert _told(_mesh({"web-1": {"generation": 5}}), revoked) == []


def test_what_is_kept_is_read_again_as_the_engine_has_it() -> None:
    wanted = _wanted(_mesh({"web-1": {"revoked": True}, "db-1": {"enabled": False}}), None)
    kept = wanted.record()
    assert kept == {
        "mesh": 3,
        "nodes": {"web-1": 4},
        "preshared": 2,
        "out": ["db-1", "web-1"],
        "revoked": {"web-1": 6},
    }
    floats = {**kept, "mesh": 3.0, "nodes": {"web-1": 4.0}, "preshared": 2.0, "revoked": {"web-1": 6.0}}
    assert generations_of(floats) == wanted
    assert generations_of(None) is NO_ROTATION
    assert "revoked" not in _wanted(MESH, None).record()


def test_nothing_is_refused_of_a_state_that_could_not_be_read() -> None:
    plan = plan_of({"cidr": "10.10.0.0/24", "nodes": {"a": {"address": "10.10.0.1"}}})
    assert refuse_generations(plan, Previous(unread="it is gone"), {}) == ()
