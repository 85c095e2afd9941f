"""A mesh that was not changed since it was made: the state has connections to host keys that are gone."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.projects import Project, write_program
from tests.system.simulated import simulated

pytestmark = pytest.mark.hosts

PROGRAM = """\
import json, pathlib
import pulumi
from mesh.program import Mesh

pulumi.export("mesh", Mesh.from_settings("mesh", json.loads(pathlib.Path("mesh.json").read_text())).outputs)
"""
NODES = {"web-1": {"address": "10.10.0.1"}, "db-1": {"address": "10.10.0.2"}}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Project]:
    folder = tmp_path / "program"
    write_program(folder, PROGRAM, name="made")
    (folder / "mesh.json").write_text(json.dumps({"cidr": "10.10.0.0/24", "nodes": NODES}))
    with simulated(tmp_path / "cloud") as cloud:
        project = Project(cloud=cloud, folder=folder)
        project.create({})
        project.up()
        project.engine("preview", "--expect-no-changes")
        yield project


def _urn(project: Project, name: str) -> str:
    resources = json.loads(project.engine("stack", "export"))["deployment"]["resources"]
    return next(str(each["urn"]) for each in resources if each["urn"].endswith(f"::{name}"))


@pytest.mark.parametrize(
    "name", ["preshared-root", "web-1-agent-file", pytest.param("web-1-keys", marks=pytest.mark.long)]
)
def test_what_is_replaced_by_hand_is_sent_over_the_host_key_of_today(made: Project, name: str) -> None:
    """No plan knows of `--replace`: steps with keys count as having nothing to do, or are named."""
    printed = made.engine("up", "--yes", "--skip-preview", "--replace", _urn(made, name))
    assert "web-1-keys replaced" in printed or name == "web-1-agent-file", printed
    for _ in range(2):
        made.up()
    made.engine("preview", "--expect-no-changes")
