"""Pulumi projects in folders of their own, run by the lab's engine beside a simulated cloud."""

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.testing import REPOSITORY
from tests.system.simulated import TOKEN, Simulated

__all__ = ["Project", "copied", "engine_environment", "write_program"]


def engine_environment(folder: Path, packages: str | Path = REPOSITORY, stack: str = "dev") -> dict[str, str]:
    """What the engine needs to know: its state is beside the project."""
    return {
        "PYTHONPATH": str(packages),
        "PULUMI_BACKEND_URL": f"file://{folder}/state",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_STACK": stack,
    }


@dataclass(frozen=True)
class Project:
    """A project; its Python finds the packages of the folder `packages`."""

    cloud: Simulated
    folder: Path
    packages: Path = REPOSITORY
    python: str = sys.executable
    stack: str = "dev"

    def engine(self, *words: str, code: int = 0) -> str:
        """Run the lab's engine, which is part of the package too; return what was printed."""
        ran = self.cloud.run(
            self.python, "-m", "lab.engine", *words,
            folder=self.folder, environment=engine_environment(self.folder, self.packages, self.stack),
        )  # fmt: skip
        assert ran.returncode == code, ran.stdout
        return ran.stdout

    def create(self, config: Mapping[str, Any]) -> None:
        """Make the stack."""
        self.configure(config)
        self.engine("stack", "init", self.stack)

    def configure(self, config: Mapping[str, Any]) -> None:
        """Write the stack file."""
        known = {"hcloud:endpoint": self.cloud.endpoint, "hcloud:token": TOKEN}
        (self.folder / f"Pulumi.{self.stack}.yaml").write_text(
            yaml.safe_dump({"config": {**known, **config}})
        )

    def outputs(self) -> Any:
        return json.loads(self.engine("stack", "output", "--json", "--show-secrets"))

    def up(self) -> str:
        return self.engine("up", "--yes", "--skip-preview")


def write_program(folder: Path, program: str, *, name: str = "wireguard-mesh") -> None:
    """Make a folder the project of a program, with room for its state."""
    (folder / "state").mkdir(parents=True)
    (folder / "__main__.py").write_text(program)
    runtime = f"runtime:\n  name: python\n  options:\n    virtualenv: {sys.prefix}\n"
    (folder / "Pulumi.yaml").write_text(f"name: {name}\n{runtime}")


def copied(source: Path, folder: Path, *, environment: str | Path = sys.prefix) -> Path:
    """Copy a project into a new folder, with room for its state; `environment` runs its program."""
    shutil.copytree(source, folder)
    (folder / "state").mkdir()
    described = yaml.safe_load((folder / "Pulumi.yaml").read_text())
    described["runtime"] = {"name": "python", "options": {"virtualenv": str(environment)}}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(described))
    return folder
