"""Meshes in somebody else's program: the installed package in Python, a component in other languages."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

from lab.testing import REPOSITORY
from tests.system.projects import Project, copied
from tests.system.simulated import Simulated, simulated

pytestmark = pytest.mark.hosts


MESH = {
    "cidr": "10.30.0.0/24",
    "nodes": {"web-1": {"address": "10.30.0.1", "public": ["tcp/80"]}, "db-1": {"address": "10.30.0.11"}},
}
UNCHANGED = re.compile(r"Resources:\n +\d+ unchanged\n")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = WheelBuilder(str(REPOSITORY)).build(directory=str(folder), versions=["standard"])
    return Path(built)


def install(wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as content:
        content.extractall(folder)
    return folder


@pytest.fixture
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    with simulated(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


def test_the_example_lives_with_the_installed_package(cloud: Simulated, wheel: Path, tmp_path: Path) -> None:
    source = REPOSITORY / "examples" / "shop"
    shop = Project(cloud, copied(source, tmp_path / "shop"), install(wheel, tmp_path / "installed"))
    shop.create(yaml.safe_load((source / "Pulumi.dev.example.yaml").read_text())["config"])
    shop.up()
    outputs = shop.outputs()
    assert set(outputs["mesh"]["nodes"]) == {"web-1", "db-1"}
    assert outputs["mail"]

    again = shop.up()
    assert UNCHANGED.search(again), again
    assert "warning" not in again, "servers beside the mesh are none of its business"
    assert "is new" not in again, "what the state has is known, though the program exports no `nodes`"
    assert not (shop.folder / "build").exists(), "the agent comes from the package"

    # The same package at another place: the same agent, so nothing to do.
    elsewhere = replace(shop, packages=install(wheel, tmp_path / "elsewhere"))
    assert UNCHANGED.search(elsewhere.up())
    shop.engine("destroy", "--yes", "--skip-preview")


def foreign_project(folder: Path, cloud: Simulated) -> Project:
    made = Project(cloud, copied(Path(__file__).parent / "foreign", folder))
    made.create(_component(MESH))
    return made


def _component(mesh: Mapping[str, Any]) -> dict[str, Any]:
    return {"foreign:plugin": str(REPOSITORY / "component"), "foreign:mesh": mesh}


def test_a_component_of_another_language_tells_mistakes_at_their_properties(
    cloud: Simulated, tmp_path: Path
) -> None:
    foreign = foreign_project(tmp_path / "foreign", cloud)
    planned = foreign.engine("preview")
    assert "wireguard-mesh:index:Mesh mesh create" in planned
    foreign.configure(_component({**MESH, "cidr": "10.99.0.0/24"}))
    refused = foreign.engine("preview", code=1)
    assert "INVALID_ARGUMENT: the arguments of the mesh have 2 mistakes; nothing was changed" in refused
    assert "nodes.db-1.address" in refused
    assert "is outside 10.99.0.0/24" in refused
    assert "component.py" not in refused, "no traceback"


@pytest.mark.long
def test_a_component_lives_in_a_program_of_another_language(cloud: Simulated, tmp_path: Path) -> None:
    foreign = foreign_project(tmp_path / "foreign", cloud)
    foreign.up()
    outputs = foreign.outputs()
    assert outputs["types"] == ["wireguard-mesh:index:Mesh"]
    answer = json.loads(outputs["answer"])
    assert answer["urn"].endswith("::foreign::wireguard-mesh:index:Mesh::mesh")
    assert answer["state"]["nodes"]["web-1"]["sshPort"] == 22
    again = foreign.up()
    assert UNCHANGED.search(again), again
    assert "is new" not in again, "what the state has is known"
    foreign.engine("destroy", "--yes", "--skip-preview")


@pytest.mark.long
def test_the_package_is_installed_into_an_empty_environment(cloud: Simulated, tmp_path: Path) -> None:
    """By pip, with the lab, at the versions that the repository pins."""
    pinned = re.findall(r"^[\w.-]+==\S+", (REPOSITORY / "requirements" / "lab.txt").read_text(), re.MULTILINE)
    (tmp_path / "constraints.txt").write_text("\n".join(pinned))
    environment = tmp_path / "environment"
    python = environment / "bin" / "python"
    for words in (
        [sys.executable, "-m", "venv", str(environment)],
        [
            str(python),
            *["-m", "pip", "install", "-q", "-c"],
            str(tmp_path / "constraints.txt"),
            f"{REPOSITORY}[lab]",
        ],
    ):
        ran = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=500)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    helped = subprocess.run(
        [environment / "bin" / "mesh", "--help"], check=True, capture_output=True, text=True
    )
    assert "reach" in helped.stdout

    source = REPOSITORY / "examples" / "shop"
    folder = copied(source, tmp_path / "shop", environment=environment)
    shop = Project(cloud, folder, packages=tmp_path, python=str(python))
    shop.create(yaml.safe_load((source / "Pulumi.dev.example.yaml").read_text())["config"])
    shop.up()
    assert set(shop.outputs()["mesh"]["nodes"]) == {"web-1", "db-1"}
    assert UNCHANGED.search(shop.up())
    shop.engine("destroy", "--yes", "--skip-preview")
