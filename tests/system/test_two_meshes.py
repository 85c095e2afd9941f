"""Two meshes in one program through a life: one cloud, one state, and neither touches the other."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mesh.outputs import parse_outputs
from tests.system.projects import Project, write_program
from tests.system.simulated import simulated

pytestmark = pytest.mark.hosts

PROGRAM = """\
import json, pathlib
import pulumi
from mesh.program import Mesh

for name, settings in json.loads(pathlib.Path("meshes.json").read_text()).items():
    pulumi.export(name, Mesh.from_settings(name, settings).outputs)
"""
MESHES: dict[str, Any] = {
    "mesh": {
        "cidr": "10.10.0.0/24",
        "nodes": {"web-1": {"address": "10.10.0.1"}, "db-1": {"address": "10.10.0.2"}},
    },
    "office": {"cidr": "10.20.0.0/24", "nodes": {"web-1": {"address": "10.20.0.1"}}},
}


@dataclass(frozen=True)
class Program(Project):
    """A program with meshes in a folder of its own."""

    def declare(self, meshes: dict[str, Any]) -> None:
        (self.folder / "meshes.json").write_text(json.dumps(meshes))

    def up_with(self, meshes: dict[str, Any]) -> str:
        self.declare(meshes)
        return self.up()

    def steps(self, meshes: dict[str, Any]) -> dict[str, str]:
        """What a preview would do, by the names of the resources."""
        self.declare(meshes)
        shown = self.engine("preview", "--json")
        steps = json.loads(shown[shown.index("{") :])["steps"]
        return {step["urn"].rsplit("::", 1)[1]: step["op"] for step in steps if step["op"] != "same"}

    def servers(self) -> set[str]:
        kept = json.loads(self.engine("stack", "export"))["deployment"].get("resources") or []
        return {each["inputs"]["name"] for each in kept if each["type"] == "hcloud:index/server:Server"}


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    folder = tmp_path / "program"
    write_program(folder, PROGRAM, name="two")
    with simulated(tmp_path / "cloud") as cloud:
        program = Program(cloud=cloud, folder=folder)
        program.create({})
        yield program


@pytest.mark.long
def test_a_life_of_two_meshes(program: Program) -> None:
    program.up_with(MESHES)
    assert program.servers() == {"dev-web-1", "dev-db-1", "dev-office.web-1"}
    meshes = parse_outputs(program.outputs())
    assert {name: set(mesh.nodes) for name, mesh in meshes.items()} == {
        "mesh": {"web-1", "db-1"},
        "office": {"web-1"},
    }
    assert meshes["mesh"].ssh_private_key != meshes["office"].ssh_private_key
    again = program.up_with(MESHES)
    assert re.search(r"Resources:\n +\d+ unchanged\n", again), again
    assert "warning" not in again

    office = MESHES["office"]
    wider = {**MESHES, "office": {**office, "nodes": {**office["nodes"], "db-1": {"address": "10.20.0.2"}}}}
    steps = program.steps(wider)
    assert [steps.get(name) for name in ("office.directory", "office.web-1-apply")] == ["update"] * 2
    assert [name for name in steps if not name.startswith("office.") and name != "two-dev"] == []
    program.up_with(wider)
    assert program.servers() == {"dev-web-1", "dev-db-1", "dev-office.web-1", "dev-office.db-1"}

    gone = program.up_with({"mesh": MESHES["mesh"]})
    assert "updated" not in gone
    assert program.servers() == {"dev-web-1", "dev-db-1"}
    program.engine("destroy", "--yes", "--skip-preview")
    assert program.servers() == set()
