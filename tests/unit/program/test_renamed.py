"""A node that gets another name: the engine finds each of its resources again, and no key is made anew."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from mesh.names import NODE_TYPE, MeshNames
from mesh.program.former import refuse_names_in_use
from mesh.program.machines.hetzner.api import CloudAccess
from mesh.program.machines.hetzner.records import address_record, server_record
from mesh.program.previous import Previous
from mesh.remote import read_secret_input
from mesh.settings import SettingsError
from tests.unit.meshes import plan_of
from tests.unit.program.off import cloud_with_servers_off
from tests.unit.program.recording import STACK, Recording, is_secret, previous_of, run

MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "nodes": {
        "web-1": {"address": "10.10.0.1", "public": ["tcp/443"]},
        "web": {"address": "10.10.0.2"},
        "db-1": {"address": "10.10.0.11", "location": "nbg1"},
    },
    "rollout": {"canary": "web-1"},
}


def renamed(old: str, new: str, *formerly: str) -> dict[str, Any]:
    mesh = copy.deepcopy(MESH)
    mesh["nodes"][new] = {**mesh["nodes"].pop(old), "formerly": [*formerly, old]}
    if mesh["rollout"]["canary"] == old:
        mesh["rollout"]["canary"] = new
    return mesh


@pytest.fixture(scope="module", autouse=True)
def cloud() -> Iterator[None]:
    """A cloud that answers that all servers run."""
    with cloud_with_servers_off() as access, pytest.MonkeyPatch.context() as patch:
        patch.setattr(CloudAccess, "configured", lambda: access)
        yield


@pytest.fixture(scope="module")
def before() -> Recording:
    """A mesh with all that nodes can have: their servers were off once."""
    servers = [f"{STACK}-{name}" for name in MESH["nodes"]]
    with cloud_with_servers_off(*servers) as access, pytest.MonkeyPatch.context() as patch:
        patch.setattr(CloudAccess, "configured", lambda: access)
        return run(MESH, existing=run(MESH))


@pytest.mark.parametrize(("old", "new"), [("web-1", "front"), ("web", "front"), ("db-1", "web-2")])
def test_every_resource_is_found_by_its_former_name_and_none_is_new(
    before: Recording, old: str, new: str
) -> None:
    after = run(renamed(old, new), existing=before)
    found = [
        next((urn for urn in each.known_as if urn in before.state), None) for each in after.resources.values()
    ]
    assert None not in found
    assert sorted(map(str, found)) == sorted(before.state)
    own = {name for name in after.resources if name == new or name.startswith(f"{new}-")}
    assert len(own) == 10
    for each in after.resources.values():
        names = [urn.rpartition("::")[2] for urn in each.known_as[1:]]
        assert names == ([each.name.replace(new, old, 1)] if each.name in own else [])


def test_all_former_names_are_looked_for_and_never_those_of_others() -> None:
    after = run(renamed("web-1", "front", "www"))
    assert after["front-server"].known_as[1:] == [
        after["front-server"].urn.replace("front", had) for had in ("www", "web-1")
    ]
    back = run(
        {**MESH, "nodes": {**MESH["nodes"], "web-1": {**MESH["nodes"]["web-1"], "formerly": ["web-1", "x"]}}}
    )
    assert [urn.rpartition("::")[2] for urn in back["web-1-apply"].known_as] == ["web-1-apply", "x-apply"]


def test_in_a_mesh_of_another_name_too(before: Recording) -> None:
    after = run(MESH, beside={"office": renamed("web-1", "front")})
    assert after["office.front"].known_as[1:] == [after["office.front"].urn.replace("front", "web-1")]
    assert after["office.front-keys"].known_as[1:] == [
        after["office.front-keys"].urn.replace("front", "web-1")
    ]


def _plain(inputs: dict[str, Any], key: str) -> Any:
    value = inputs[key]
    return value["value"] if is_secret(value) else value


def test_no_key_changes_and_only_names_do(before: Recording) -> None:
    after = run(renamed("web-1", "front"), existing=before)
    for name, each in after.resources.items():
        was = before[name.replace("front", "web-1")]
        changed = {key for key in each.inputs if each.inputs[key] != was.inputs.get(key)}
        ignored = set(each.request.ignoreChanges)
        assert changed - ignored <= {"name", "labels"} or name == "directory" or name.endswith("-apply"), name
    for node in ("front", "web", "db-1"):
        old = before[f"{node.replace('front', 'web-1')}-apply"].inputs["stdin"]
        assert after[f"{node}-apply"].inputs["stdin"] == old.replace("web-1", "front")
        assert (
            after[f"{node}-apply"].inputs["triggers"]
            == before[f"{node.replace('front', 'web-1')}-apply"].inputs["triggers"]
        )
    keys = read_secret_input(_plain(after["db-1-keys"].inputs, "stdin"))["keys"]
    assert keys == read_secret_input(_plain(before["db-1-keys"].inputs, "stdin"))["keys"]
    entry = after["directory"].inputs["input"]
    assert entry["front"] == before["directory"].inputs["input"]["web-1"]


def test_what_the_state_knows_of_a_node_is_found_by_either_name(before: Recording) -> None:
    plan = plan_of(renamed("web-1", "front"))
    former = {name: node.former for name, node in plan.nodes.items() if node.former}
    assert former == {"front": ("web-1",)}
    previous = previous_of(before).of(MeshNames("mesh"), former)
    assert sorted(previous.nodes) == ["db-1", "front", "web"]
    assert server_record(previous, "front")["name"] == "test-web-1"
    assert address_record(previous, "front")["name"] == "test-web-1"
    assert previous.has_part("command:remote:Command", "front", "keys")
    assert not previous.has_part("command:remote:Command", "web-1-x", "keys")
    halfway = previous_of(run(renamed("web-1", "front"), existing=before)).of(MeshNames("mesh"), former)
    assert server_record(halfway, "front")["name"] == "test-front"


def test_a_name_that_the_state_still_has_is_not_taken_over() -> None:
    plan = plan_of(renamed("web-1", "front"))
    both = Previous(records={(NODE_TYPE, "front"): {}, (NODE_TYPE, "web-1"): {}})
    with pytest.raises(SettingsError, match=r"mesh\.nodes\.front\.formerly: the state has front and web-1"):
        refuse_names_in_use(plan, both)
    refuse_names_in_use(plan, Previous(records={(NODE_TYPE, "web-1"): {}}))
    refuse_names_in_use(plan, Previous(records={(NODE_TYPE, "front"): {}}))
