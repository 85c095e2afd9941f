import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pulumi
import pytest

from mesh import zipapp
from mesh.program import agent
from mesh.program.agent import agent_file, build_agent
from mesh.zipapp import pack_agent


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


@pytest.mark.parametrize("place", [0, 60_000, -1])
def test_what_was_packed_before_counts_if_it_is_whole_and_of_these_sources(place: int) -> None:
    packed = pack_agent()
    assert pack_agent(packed) is packed
    damaged = bytearray(packed)
    damaged[place] ^= 1
    assert pack_agent(bytes(damaged)) == packed


def test_what_was_packed_of_other_sources_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack_agent()
    monkeypatch.setattr(zipapp, "_MAIN", "raise SystemExit(3)\n")
    other = pack_agent(packed)
    assert other not in {packed, b""}
    assert pack_agent(other) is other


def test_what_another_packer_packed_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "zipapp.py"
    other.write_text(f"{Path(zipapp.__file__).read_text()}\n# of another version\n")
    monkeypatch.setattr(zipapp, "__file__", str(other))
    packed = pack_agent()
    monkeypatch.undo()
    assert pack_agent(packed) == pack_agent() != packed


def test_an_editors_lock_is_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "host"
    shutil.copytree(Path(zipapp.__file__).with_name("host"), sources)
    monkeypatch.setattr(zipapp, "_SOURCE", sources)
    packed = pack_agent()
    (sources / ".#cli.py").symlink_to("somebody@nowhere.1")
    assert pack_agent() == packed


def test_a_python_without_its_library_is_told(tmp_path: Path) -> None:
    agent = build_agent(tmp_path)
    code = (
        f"import sys, runpy; sys.modules['bz2'] = None; runpy.run_path({agent.path!r}, run_name='__main__')"
    )
    ended = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"{sys.executable}: import of bz2 halted")
    assert "the agent needs Python's standard library (the package python3)\n" in ended.stderr


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


def test_a_run_in_the_checkout_itself_says_nothing_of_the_machine(tmp_path: Path) -> None:
    assert agent_file().path == "build/wgmesh.pyz"
    assert (tmp_path / "build" / "wgmesh.pyz").read_bytes() == pack_agent()


def test_a_run_elsewhere_leaves_the_current_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert agent_file().path == f"{tmp_path}/build/wgmesh.pyz"
    assert list(elsewhere.iterdir()) == []


def test_an_installed_package_uses_the_agent_that_was_built_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = tmp_path / "installed.pyz"
    built.write_bytes(pack_agent())
    monkeypatch.setattr(agent, "_BUILT", built)
    found = agent_file()
    assert found.path == str(built)
    assert found.sha256 == hashlib.sha256(pack_agent()).hexdigest()
    assert not (tmp_path / "build").exists()


def test_a_checkout_that_cannot_be_written_to_is_named_with_what_helps(tmp_path: Path) -> None:
    (tmp_path / "build").write_text("a file is in the way")
    with pytest.raises(pulumi.RunError, match=r"build/wgmesh.pyz: cannot pack the agent .* \(pip install"):
        agent_file()


def test_a_checkout_has_no_built_agent_that_could_grow_old() -> None:
    assert not agent._BUILT.exists()
