import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mesh.host.bytecode import ENTRY
from mesh.host.commands.install import with_bytecode
from mesh.program.agent import build_agent

# Runs the archive as Python does, and tells how the command line's module was found.
RUN = """
import os, runpy, sys
def end(code):
    raise SystemExit(code)
os._exit = end
sys.argv = [sys.argv[1], "nosuch"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    cli = sys.modules["wgmesh.cli"]
    print(end.code, cli.__file__, cli.__doc__ is None, "bz2" in sys.modules)
"""


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    return Path(build_agent(tmp_path).path)


def _python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-I", *arguments], capture_output=True, text=True, check=False)


def _last(*arguments: str) -> list[str]:
    return _python(*arguments).stdout.splitlines()[-1].split()


def test_the_installed_archive_is_the_one_sent_and_runs_from_bytecode(sent: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed.pyz"
    installed.write_bytes(with_bytecode(sent))
    with zipfile.ZipFile(sent) as before, zipfile.ZipFile(installed) as after:
        assert {name: after.read(name) for name in before.namelist()} == {
            name: before.read(name) for name in before.namelist()
        }
    assert _last("-c", RUN, str(installed)) == ["64", f"{installed}/wgmesh/cli.py", "True", "False"]
    assert _python(str(installed), "nosuch").returncode == 64


def test_the_archive_as_it_was_sent_runs_too(sent: Path) -> None:
    assert _last("-c", RUN, str(sent)) == ["64", f"{sent}/wgmesh/cli.py", "True", "True"]
    assert _python(str(sent), "nosuch").returncode == 64


def test_bytecode_of_another_python_is_passed_over(sent: Path, tmp_path: Path) -> None:
    """A host whose Python was upgraded still has a working agent."""
    path = tmp_path / "foreign.pyz"
    ours = zipfile.ZipFile(io.BytesIO(with_bytecode(sent)))
    with ours, zipfile.ZipFile(path, "w") as foreign:
        for name in ours.namelist():
            content = ours.read(name)
            if name == ENTRY:
                foreign.writestr("bytecode-01020d0a", b"nothing that can be read")
            else:
                foreign.writestr(name, b"\x01\x02\r\n" + content[4:] if name.endswith(".pyc") else content)
    assert _last("-c", RUN, str(path)) == ["64", f"{path}/wgmesh/cli.py", "True", "True"]
    assert _python(str(path), "nosuch").returncode == 64
