import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mesh.host.commands.install import with_bytecode
from mesh.program.agent import build_agent

LOADED = "import sys; sys.path.insert(0, sys.argv[1]); import wgmesh.cli; print(wgmesh.cli.__file__)"


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    return Path(build_agent(tmp_path).path)


def _python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-I", *arguments], capture_output=True, text=True, check=False)


def test_the_installed_archive_is_the_one_sent_and_runs_from_bytecode(sent: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed.pyz"
    installed.write_bytes(with_bytecode(sent.read_bytes()))
    with zipfile.ZipFile(sent) as before, zipfile.ZipFile(installed) as after:
        assert {name: after.read(name) for name in before.namelist()} == {
            name: before.read(name) for name in before.namelist()
        }
    assert _python("-c", LOADED, str(installed)).stdout.strip() == f"{installed}/wgmesh/cli.pyc"
    assert _python(str(installed), "nosuch").returncode == 64


def test_bytecode_of_another_python_is_passed_over(sent: Path, tmp_path: Path) -> None:
    """A host whose Python was upgraded still has a working agent."""
    path = tmp_path / "foreign.pyz"
    ours = zipfile.ZipFile(io.BytesIO(with_bytecode(sent.read_bytes())))
    with ours, zipfile.ZipFile(path, "w") as foreign:
        for name in ours.namelist():
            content = ours.read(name)
            foreign.writestr(name, b"\x01\x02\r\n" + content[4:] if name.endswith(".pyc") else content)
    assert _python("-c", LOADED, str(path)).stdout.strip() == f"{path}/wgmesh/cli.py"
    assert _python(str(path), "nosuch").returncode == 64
