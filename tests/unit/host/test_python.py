"""The agent runs on any Python from 3.9 on, with nothing but its standard library."""

import subprocess
import sys
from pathlib import Path

import pytest

from mesh.program.agent import build_agent

HOST = Path(__file__).parents[3] / "mesh" / "host"
IMPORT_ALL = """
import importlib, sys, zipimport
sys.path[:] = [sys.argv[1], *(path for path in sys.path if "site-packages" not in path)]
from wgmesh.bytecode import compiled, use_bytecode
use_bytecode(zipimport.zipimporter(sys.argv[1]))
names = [name for name in compiled(sys.argv[1]) if name.startswith("wgmesh.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def _violations(folder: Path) -> subprocess.CompletedProcess[str]:
    vermin = str(Path(sys.executable).with_name("vermin"))
    argv = [vermin, "-t=3.9-", "--no-tips", "--violations", str(folder)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_nothing_needs_a_newer_python() -> None:
    found = _violations(HOST)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    "newer", ["match 1:\n    case 1: pass\n", "import tomllib\n", "zip([], strict=True)\n"]
)
def test_what_needs_one_is_found(tmp_path: Path, newer: str) -> None:
    (tmp_path / "planted.py").write_text(newer)
    assert _violations(tmp_path).returncode != 0


def test_every_module_is_imported_from_the_shipped_file_with_the_standard_library_alone(
    tmp_path: Path,
) -> None:
    build_agent(tmp_path)
    argv = [sys.executable, "-I", "-c", IMPORT_ALL, str(tmp_path / "wgmesh.pyz")]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    modules = [path for path in HOST.rglob("*.py") if path.name != "__init__.py"]
    rooms = [path for path in HOST.iterdir() if (path / "__init__.py").exists()]
    assert int(shown) == len(modules) + len(rooms)
