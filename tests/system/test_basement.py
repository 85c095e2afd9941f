"""The provider of docs/add-a-provider.md through a life, with real hosts: nothing of the mesh knows of it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.hosts import Lab
from lab.hosts.image import build_image
from lab.testing import REPOSITORY
from tests.system.projects import copied, engine_environment

pytestmark = [pytest.mark.hosts, pytest.mark.long]

IMAGES = REPOSITORY / ".lab" / "image"


@dataclass(frozen=True)
class Basement:
    """The example in a folder of its own; `lab` has its machines."""

    folder: Path
    lab: Lab

    def run(self, *words: str) -> str:
        """Run a module of Python; it must succeed. Returns what it printed."""
        environment = {
            **engine_environment(self.folder, f"{self.folder}:{REPOSITORY}"),
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
        }
        run = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=self.folder, env={**os.environ, **environment}, check=False, timeout=300, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert run.returncode == 0, run.stdout
        return run.stdout

    def engine(self, *words: str) -> str:
        return self.run("lab.engine", *words)

    def up(self) -> str:
        return self.engine("up", "--yes", "--skip-preview")

    def reach(self) -> str:
        return self.run("mesh", "reach", "--pulumi", f"{sys.executable} -m lab.engine")

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        path = self.folder / "Pulumi.dev.yaml"
        stack = yaml.safe_load(path.read_text())
        change(stack["config"]["basement:mesh"])
        path.write_text(yaml.safe_dump(stack))

    def hosts(self) -> set[str]:
        return {machine.spec()["hostname"] for machine in self.lab.machines()}


@pytest.fixture
def basement(tmp_path: Path) -> Iterator[Basement]:
    if os.geteuid() != 0:
        pytest.fail("hosts need root: run `make test`, which uses sudo")
    build_image(IMAGES, "debian-12", print)
    folder = copied(REPOSITORY / "examples" / "basement", tmp_path / "basement")
    shutil.copy(folder / "Pulumi.dev.example.yaml", folder / "Pulumi.dev.yaml")
    hosts = tmp_path / "hosts"
    for new in (folder / "bin", hosts):
        new.mkdir()
    command = folder / "bin" / "basement"
    cloud = f"{sys.executable} -m tests.system.basement_cloud {hosts} {IMAGES}"
    command.write_text(f'#!/bin/sh\nexec {cloud} "$@"\n')
    command.chmod(0o755)
    lab = Lab(hosts, IMAGES)
    lab.up()
    try:
        basement = Basement(folder, lab)
        basement.engine("stack", "init", "dev")
        yield basement
    finally:
        for machine in lab.machines():
            lab.destroy(machine.key)
        lab.down()


def test_a_life_in_a_basement(basement: Basement) -> None:
    basement.up()
    assert basement.hosts() == {"dev-web-1", "dev-db-1"}
    assert "all 2 pairs reach each other" in basement.reach()
    assert re.search(r"Resources:\n +\d+ unchanged\n", basement.up())

    basement.edit(lambda mesh: mesh["nodes"]["web-1"].update(public=["tcp/443"]))
    changed = basement.up()
    assert re.search(r"~ 1 updated\n +\d+ unchanged\n", changed), changed

    basement.edit(lambda mesh: mesh["nodes"].update({"web-2": {"address": "10.40.0.2"}}))
    basement.up()
    assert "all 6 pairs reach each other" in basement.reach()

    basement.edit(lambda mesh: mesh["nodes"].pop("db-1"))
    removed = basement.up()
    assert "db-1 is not in the stack file any more: its server is deleted with its disk" in removed
    assert basement.hosts() == {"dev-web-1", "dev-web-2"}
    assert "all 2 pairs reach each other" in basement.reach()

    basement.engine("destroy", "--yes", "--skip-preview")
    assert basement.hosts() == set()
