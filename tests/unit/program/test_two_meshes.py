"""Several meshes in one program: each has resources, hooks and names in the cloud of its own."""

from typing import Any

import pulumi
import pytest

from mesh.names import MeshNames
from mesh.program.door import check_settings
from tests.unit.program.recording import Recording, run

MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "nodes": {"web-1": {"address": "10.10.0.1"}, "office-web": {"address": "10.10.0.2"}},
    "rollout": {"canary": "web-1"},
}
OFFICE: dict[str, Any] = {
    "cidr": "10.20.0.0/24",
    "port": 51821,
    "nodes": {"web-1": {"address": "10.20.0.1"}, "web": {"address": "10.20.0.2"}},
    "rollout": {"canary": "web"},
}


@pytest.fixture(scope="module")
def both() -> Recording:
    """The recorder refuses a URN that comes twice, the SDK a hook."""
    return run(MESH, beside={"office": OFFICE})


def _changed(before: Recording, after: Recording) -> set[str]:
    """What the run after changes of what the run before asked for."""
    return {name for name, each in before.resources.items() if after.resources[name].changed_since(each)}


def test_the_mesh_called_mesh_is_as_it_is_alone(both: Recording) -> None:
    alone = {each.urn for each in run(MESH).resources.values()}
    others = {each.urn for each in both.resources.values() if each.name.startswith("office.")}
    assert alone == {each.urn for each in both.resources.values()} - others - {both["office"].urn}


def test_every_name_of_another_mesh_begins_with_its_own(both: Recording) -> None:
    alone = run(OFFICE)
    expected = {"office", *(f"office.{name}" for name in alone.resources if name != "mesh")}
    assert {
        name for name in both.resources if name.startswith("office") and "office-" not in name
    } == expected


def test_no_name_in_the_cloud_is_taken_twice(both: Recording) -> None:
    in_cloud = [each for each in both.resources.values() if each.type.startswith("hcloud:")]
    named = [(each.type, each.inputs["name"]) for each in in_cloud]
    assert len(set(named)) == len(named)
    assert both["office.web-1-server"].inputs["name"] == "test-office.web-1"
    assert both["office.web-1-server"].inputs["labels"] == {
        "wireguard-mesh/stack": "test",
        "wireguard-mesh/mesh": "office",
        "wireguard-mesh/node": "web-1",
    }
    assert "wireguard-mesh/mesh" not in both["web-1-server"].inputs["labels"]


def test_each_mesh_has_hooks_of_its_own(both: Recording) -> None:
    def hooks(name: str) -> set[str]:
        bound = both[name].request.hooks
        return {*bound.on_error, *bound.before_create, *bound.after_create}

    for name in ("web-1-apply", "office-web-keys", "web-1-server"):
        assert all(hook.startswith("wireguard-mesh-") for hook in hooks(name)), name
    for name in ("office.web-1-apply", "office.web-keys", "office.web-1-server"):
        assert hooks(name)
        assert all(hook.startswith("office.wireguard-mesh-") for hook in hooks(name)), name


def test_no_mesh_waits_for_another_one(both: Recording) -> None:
    for each in both.resources.values():
        others = {
            name
            for name in each.dependencies
            if name.startswith("office.") != each.name.startswith("office.")
        }
        assert others == set(), each.name


def test_a_second_run_of_both_asks_for_the_same(both: Recording) -> None:
    again = run(MESH, beside={"office": OFFICE}, existing=both)
    assert again.resources.keys() == both.resources.keys()
    assert _changed(both, again) == set()


def test_a_change_of_one_mesh_leaves_the_other_alone(both: Recording) -> None:
    wider = {**OFFICE, "nodes": {**OFFICE["nodes"], "db": {"address": "10.20.0.3"}}}
    changed = _changed(both, run(MESH, beside={"office": wider}, existing=both))
    assert changed == {"office.directory"} | {
        f"office.{node}-{step}" for node in OFFICE["nodes"] for step in ("keys", "apply")
    }


def test_a_mesh_whose_name_no_server_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="'My_Mesh' cannot be the name of a mesh"):
        run(MESH, beside={"My_Mesh": OFFICE})


def test_a_message_names_its_mesh_where_there_may_be_several() -> None:
    assert MeshNames("mesh").said("web-1 loses its disk") == "web-1 loses its disk"
    assert MeshNames("office").said("web-1 loses its disk") == "mesh office: web-1 loses its disk"


def test_the_door_refuses_such_a_name_before_it_reads_anything() -> None:
    with pytest.raises(pulumi.RunError, match="'My_Mesh' cannot be the name of a mesh"):
        check_settings(MESH, mesh="My_Mesh")
