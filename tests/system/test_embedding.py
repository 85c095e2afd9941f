"""Somebody else's program has a mesh, from the installed package, and servers of another kind beside it."""

import json
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

from tests.system.simulated import REPOSITORY, TOKEN, Simulated, simulated

pytestmark = pytest.mark.hosts


@dataclass(frozen=True)
class Shop:
    """The example in a folder of its own, with the package that `packages` holds."""

    cloud: Simulated
    folder: Path
    packages: Path

    def engine(self, *words: str, code: int = 0) -> str:
        """Run the lab's engine, which is part of the package too."""
        ran = self.cloud.run(
            sys.executable, "-m", "lab.engine", *words,
            folder=self.folder,
            environment={
                "PYTHONPATH": str(self.packages),
                "PULUMI_BACKEND_URL": f"file://{self.folder}/state",
                "PULUMI_CONFIG_PASSPHRASE": "test",
                "PULUMI_STACK": "dev",
            },
        )  # fmt: skip
        assert ran.returncode == code, ran.stdout
        return ran.stdout

    def up(self) -> str:
        return self.engine("up", "--yes", "--skip-preview")


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
def shop(wheel: Path, tmp_path: Path) -> Iterator[Shop]:
    if os.geteuid() != 0:
        pytest.fail("a network of its own needs root: run `make test`, which uses sudo")
    folder = tmp_path / "shop"
    shutil.copytree(REPOSITORY / "examples" / "shop", folder)
    (folder / "state").mkdir()
    project = yaml.safe_load((folder / "Pulumi.yaml").read_text())
    project["runtime"]["options"]["virtualenv"] = sys.prefix
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
    with simulated(tmp_path / "cloud") as cloud:
        stack = yaml.safe_load((folder / "Pulumi.dev.example.yaml").read_text())
        stack["config"] |= {"hcloud:endpoint": cloud.endpoint, "hcloud:token": TOKEN}
        (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump(stack))
        shop = Shop(cloud=cloud, folder=folder, packages=install(wheel, tmp_path / "installed"))
        shop.engine("stack", "init", "dev")
        yield shop


def test_a_life_of_the_example(shop: Shop, wheel: Path, tmp_path: Path) -> None:
    shop.up()
    outputs = json.loads(shop.engine("stack", "output", "--json", "--show-secrets"))
    assert set(outputs["mesh"]["nodes"]) == {"web-1", "db-1"}
    assert outputs["mail"]

    again = shop.up()
    assert re.search(r"Resources:\n +\d+ unchanged\n", again), again
    assert "warning" not in again, "servers beside the mesh are none of its business"
    assert "is new" not in again, "what the state has is known, though the program exports no `nodes`"
    assert not (shop.folder / "build").exists(), "the agent comes from the package"

    # The same package at another place: the same agent, so nothing to do.
    elsewhere = Shop(cloud=shop.cloud, folder=shop.folder, packages=install(wheel, tmp_path / "elsewhere"))
    assert re.search(r"Resources:\n +\d+ unchanged\n", elsewhere.up())

    shop.engine("destroy", "--yes", "--skip-preview")
