from dataclasses import replace
from pathlib import Path

import pytest

from mesh.cli.engine import CliError
from mesh.cli.outputs import MeshOutputs, read_outputs
from mesh.cli.shell import ssh
from tests.unit.cli.stack import OUTPUTS, engine

# Stands on PATH for the real one: notes what it was given, and what its files hold while it runs.
SSH = """#!/bin/sh
printf '%s\\n' "$@" >"$WGMESH_WORLD/words"
while [ "$#" -gt 0 ]; do
    case $1 in
    -i)
        stat -c %a "$2" >"$WGMESH_WORLD/mode"
        cat "$2" >"$WGMESH_WORLD/key"
        echo "$2" >"$WGMESH_WORLD/path"
        ;;
    UserKnownHostsFile=*) cat "${1#*=}" >"$WGMESH_WORLD/known_hosts" ;;
    esac
    shift
done
exit 7
"""


@pytest.fixture
def mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MeshOutputs:
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "ssh"
    tool.write_text(SSH)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("WGMESH_WORLD", str(tmp_path))
    return read_outputs(engine(tmp_path, OUTPUTS), None)


def test_the_host_key_is_the_one_the_stack_knows_and_no_other(mesh: MeshOutputs, tmp_path: Path) -> None:
    ssh(mesh, "web-1", [])
    assert (tmp_path / "known_hosts").read_text() == "192.0.2.2 ssh-ed25519 A\n"
    words = (tmp_path / "words").read_text().splitlines()
    assert "StrictHostKeyChecking=yes" in words
    assert "GlobalKnownHostsFile=/dev/null" in words
    assert words[-1] == "root@192.0.2.2"


def test_a_port_of_its_own_is_used_and_pinned(mesh: MeshOutputs, tmp_path: Path) -> None:
    moved = replace(mesh, nodes={"web-1": replace(mesh.nodes["web-1"], ssh_port=2222)})
    ssh(moved, "web-1", [])
    assert (tmp_path / "known_hosts").read_text() == "[192.0.2.2]:2222 ssh-ed25519 A\n"
    words = (tmp_path / "words").read_text().splitlines()
    assert words[words.index("-p") + 1] == "2222"


def test_the_key_is_readable_by_its_owner_alone_and_gone_afterwards(
    mesh: MeshOutputs, tmp_path: Path
) -> None:
    ssh(mesh, "web-1", [])
    assert (tmp_path / "mode").read_text().strip() == "600"
    assert (tmp_path / "key").read_text() == OUTPUTS["ssh_private_key"]
    assert not Path((tmp_path / "path").read_text().strip()).exists()


def test_command_and_exit_code_pass_through(mesh: MeshOutputs, tmp_path: Path) -> None:
    assert ssh(mesh, "db-1", ["wg", "show"]) == 7
    assert (tmp_path / "words").read_text().splitlines()[-3:] == ["root@192.0.2.11", "wg", "show"]


def test_an_unknown_node_opens_nothing(mesh: MeshOutputs, tmp_path: Path) -> None:
    with pytest.raises(CliError, match="no node of this stack"):
        ssh(mesh, "web-7", [])
    assert not (tmp_path / "words").exists()
