"""The environment with the rivals and matplotlib, apart from the project's own."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.fleet import FOLDER
from lab.testing import REPOSITORY

__all__ = ["environment", "version"]

_REQUIREMENTS: Final = REPOSITORY / "requirements" / "bench.txt"


def environment() -> Path:
    """Return the `bin` folder of the environment, made when it is not there."""
    digest = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = FOLDER / f"venv-{digest}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run(
            [folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check",
             "--require-hashes", "-r", str(_REQUIREMENTS)], check=True,
        )  # fmt: skip
        (folder / "complete").touch()
    return folder / "bin"


def version(package: str) -> str:
    """Return the pinned version of a package of the environment."""
    lines = _REQUIREMENTS.read_text().splitlines()
    return next(line.split("==")[1].split()[0] for line in lines if line.startswith(f"{package}=="))
