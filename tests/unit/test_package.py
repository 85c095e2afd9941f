"""What `pip install .` gives: the program with its agent, and nothing else that the repository has."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

from mesh.zipapp import pack_agent

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _build(folder: Path) -> Path:
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(built)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory.mktemp("wheel"))


def test_the_same_source_gives_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    assert _build(tmp_path).read_bytes() == wheel.read_bytes()


def test_the_agent_is_in_it_and_the_checkout_is_left_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        assert content.read("mesh/program/wgmesh.pyz") == pack_agent()
    assert not (ROOT / "mesh" / "program" / "wgmesh.pyz").exists()


def test_it_has_every_file_of_the_program_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = {name for name in content.namelist() if ".dist-info/" not in name}
    files = [path for room in ("mesh", "lab") for path in (ROOT / room).rglob("*") if path.is_file()]
    there = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    assert names == there | {"mesh/program/wgmesh.pyz"}


def test_the_command_is_one_that_there_is(wheel: Path, tmp_path: Path) -> None:
    """The package, unpacked, runs from any folder, and takes nothing from the checkout."""
    with zipfile.ZipFile(wheel) as content:
        content.extractall(tmp_path / "installed")
    module, _, name = PROJECT["scripts"]["mesh"].partition(":")
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path / "installed")!r})
sys.argv[1:] = ["--help"]
from {module} import {name}
{name}()
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "reach" in ran.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["installed"]


@pytest.mark.parametrize(
    ("pinned", "named"),
    [("mesh", PROJECT["dependencies"]), ("lab", PROJECT["optional-dependencies"]["lab"])],
)
def test_the_packages_it_needs_are_those_of_the_requirements(pinned: str, named: list[str]) -> None:
    wanted = re.findall(r"^[a-z][\w-]*", (ROOT / "requirements" / f"{pinned}.in").read_text(), re.MULTILINE)
    ranges = {Requirement(each).name: Requirement(each).specifier for each in named}
    assert set(ranges) == set(wanted)
    locked = dict(
        re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / f"{pinned}.txt").read_text(), re.MULTILINE)
    )
    for name, allowed in ranges.items():
        assert allowed.contains(locked[name]), f"{name} {locked[name]} is not {allowed}"
