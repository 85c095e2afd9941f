import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from mesh.program.agent import build_agent


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = build_agent(tmp_path / "one"), build_agent(tmp_path / "other")
    assert Path(one.path).read_bytes() == Path(other.path).read_bytes()
    assert one.sha256 == other.sha256 == hashlib.sha256(Path(one.path).read_bytes()).hexdigest()


def test_a_file_that_is_up_to_date_is_not_written_again(tmp_path: Path) -> None:
    first = build_agent(tmp_path)
    os.utime(first.path, (1, 1))
    assert build_agent(tmp_path) == first
    assert Path(first.path).stat().st_mtime == 1


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    first = build_agent(tmp_path)
    Path(first.path).write_bytes(b"cut")
    assert build_agent(tmp_path) == first
    assert zipfile.is_zipfile(first.path)
    assert [path.name for path in tmp_path.iterdir()] == ["wgmesh.pyz"]


def test_it_runs_with_nothing_but_python(tmp_path: Path) -> None:
    agent = build_agent(tmp_path)
    result = subprocess.run(
        [sys.executable, "-I", "-S", agent.path, "no-such-command"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 64
    assert "USAGE" in result.stdout
