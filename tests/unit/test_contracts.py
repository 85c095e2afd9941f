"""The import contracts of pyproject.toml hold, and each catches what it forbids."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Planted:
    """A line that a contract forbids, at the end of a module."""

    module: str
    line: str
    contract: str
    """Words of the contract's name."""

    @property
    def imported(self) -> str:
        found = re.match(r"(?:from|import) ([\w.]+)", self.line)
        assert found is not None
        return found[1]


CIRCLE = Planted("lab.engine.deploy.journal", "from lab.engine.deploy.run import run", "in a circle")
PLANTED = [
    Planted("mesh.host.places", "import mesh.names", "room of the mesh"),
    Planted("mesh.settings.parser", "from mesh.plan import plan_mesh", "room of the mesh"),
    Planted("mesh.cli.check", "from mesh.program import Mesh", "room of the mesh"),
    Planted("mesh.plan.planner", "import pulumi", "neither Pulumi nor network nor disk"),
    Planted("mesh.settings.ports", "import socket", "neither Pulumi nor network nor disk"),
    Planted("mesh.render.document", "from pathlib import Path", "neither Pulumi nor network nor disk"),
    Planted("mesh.review.report", "import socket", "neither Pulumi nor network nor disk"),
    Planted("mesh.review.report", "from mesh.cli.check import check_mesh", "room of the mesh"),
    Planted("mesh.calls.nodes", "import pulumi", "commands of day two"),
    Planted("mesh.program.agent", "from mesh.host.places import PLACES", "imports the agent"),
    Planted("mesh.host.files.document", "import yaml", "Python and nothing else"),
    Planted("mesh.host.system.units", "import mesh.host.live.device", "room of the agent"),
    Planted("mesh.cli.status", "from mesh.render import render_document", "commands of day two"),
    Planted("mesh.remote", "from lab.hosts import Lab", "where it is rehearsed"),
    Planted("lab.stacks", "import mesh.names", "serves any program"),
    Planted("lab.hosts.lab", "from lab.cloud.process import Process", "room of the lab"),
    Planted("lab.engine.layout", "from lab.hosts import Lab", "engine needs neither"),
    Planted("bench.report", "from tests import knocking", "imports tests"),
    CIRCLE,
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [f"{sys.prefix}/bin/lint-imports", "--no-cache", "--no-logo"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False, env={"COLUMNS": "200"}
    )


def broken(printed: str) -> dict[str, str]:
    """The report's sections about contracts that are broken, by name."""
    sections = re.split(r"^(.+)\n-+\n", printed.partition("Broken contracts")[2], flags=re.MULTILINE)
    return dict(zip(sections[1::2], sections[2::2], strict=True))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is told of a copy of the tree in which every line has been planted."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in ("mesh", "lab", "bench"):
        shutil.copytree(
            ROOT / package,
            folder / package,
            ignore=lambda _, names: {n for n in names if "." in n and n[-3:] != ".py"},
        )
    for planted in PLANTED:
        path = folder.joinpath(*planted.module.split(".")).with_suffix(".py")
        path.write_text(f"{path.read_text()}\n{planted.line}\n")
    done = lint(folder)
    assert done.returncode == 1, done.stdout + done.stderr
    return broken(done.stdout)


def test_the_contracts_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("planted", PLANTED, ids=lambda one: f"{one.module}-{one.imported}")
def test_a_forbidden_import_is_caught_by_name(found: dict[str, str], planted: Planted) -> None:
    (told,) = [text for name, text in found.items() if planted.contract in name]
    if planted is CIRCLE:
        assert "No cycles are allowed in lab.engine.deploy." in told
        return
    # a chain is told from its first importer to what it must not reach
    assert re.search(rf"{re.escape(planted.module)}\s+-> {re.escape(planted.imported)}\b", told), told
