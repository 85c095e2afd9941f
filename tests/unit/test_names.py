"""Names that two rooms share, and the copies that the node's side has of them."""

import tomllib
from itertools import product
from pathlib import Path

import pytest

from mesh import names
from mesh.host.answers import Answer
from mesh.host.places import Places
from mesh.names import STEPS, MeshNames, node_and_step
from mesh.outputs import mesh_record, node_record, parse_outputs

REPOSITORY = Path(__file__).parents[2]


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["version"] == names.VERSION


def test_the_node_knows_the_same_places_and_codes() -> None:
    places = Places()
    assert (str(places.library), str(places.agent)) == (names.AGENT_FOLDER, names.AGENT)
    assert str(places.incoming) == names.INCOMING
    assert Answer.RECONNECT.code == names.RECONNECT_STATUS


def test_the_meshes_of_a_stack_never_share_a_name() -> None:
    nodes = ["a", "b", "a-b", "b-a", "b-a-keys"]
    meshes = [MeshNames(mesh) for mesh in ("mesh", "a", "b", "a-b")]
    found = [mesh.part(node, step) for mesh, node, step in product(meshes, nodes, STEPS)]
    assert len(set(found)) == len(found)
    for mesh in meshes:
        plain = [name for each in found if (name := mesh.plain(each)) is not None]
        assert sorted(plain) == sorted(MeshNames("mesh").part(*pair) for pair in product(nodes, STEPS))


@pytest.mark.parametrize("name", ["a", "a-keys", "office.web-1", "a-agent"])
@pytest.mark.parametrize("step", STEPS)
def test_a_resource_names_its_node_and_step(name: str, step: str) -> None:
    assert node_and_step(f"{name}-{step}") == (name, step)
    assert node_and_step("a-identity") == ("a-identity", "")


@pytest.mark.parametrize("name", ["", "Office", "my_mesh", "a.b", "-a", "a" * 33])
def test_a_mesh_whose_name_cannot_begin_a_host_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a mesh: lower-case letters"):
        MeshNames(name)


@pytest.mark.parametrize("address6", [None, "fd00::1"])
def test_what_is_written_is_what_is_read(address6: str | None) -> None:
    facts = node_record(
        address="10.10.0.1",
        enabled=False,
        ssh_port=2222.0,
        public_ip="192.0.2.1",
        public_key="k",
        host_key="ssh-ed25519 A",
        address6=address6,
    )
    assert ("address6" in facts) == (address6 is not None)
    record = mesh_record(mesh="office", nodes={"a": facts}, ssh_private_key="secret")
    (mesh,) = parse_outputs({"any": record}).values()
    (node,) = mesh.nodes.values()
    assert (mesh.mesh, mesh.ssh_private_key) == ("office", "secret")
    assert vars(node) == {"name": "a", **facts, "reaches": None, "address6": address6}
