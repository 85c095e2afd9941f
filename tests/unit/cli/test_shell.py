import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mesh.cli.engine import CliError
from mesh.cli.outputs import read_outputs
from mesh.cli.shell import ssh
from mesh.outputs import MeshOutputs
from tests.unit.cli.stack import OUTPUTS, REPOSITORY, engine

# Stands on PATH for the real one: notes what it was given, and what its files hold while it runs.
SSH = """#!/bin/sh
printf '%s\\n' "$@" >"$WGMESH_WORLD/words"
env >"$WGMESH_WORLD/environment"
echo $$ >"$WGMESH_WORLD/pid"
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
[ ! -e "$WGMESH_WORLD/waits" ] || exec sleep 60
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
    with pytest.raises(CliError, match="not a node of this stack"):
        ssh(mesh, "web-7", [])
    assert not (tmp_path / "words").exists()


def test_nothing_of_the_users_own_setup_plays_a_part(
    mesh: MeshOutputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nonexistent/agent")
    ssh(mesh, "web-1", [])
    words = (tmp_path / "words").read_text().splitlines()
    assert words[:2] == ["-F", "none"], "no file of the user's, none of the system's"
    shown = subprocess.run(
        ["/usr/bin/ssh", "-G", *words], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for setting in (
        "forwardagent no",
        "forwardx11 no",
        "controlmaster false",
        "permitlocalcommand no",
        "identitiesonly yes",
        "identityagent none",
        "stricthostkeychecking true",
        "updatehostkeys false",
        "user root",
    ):
        assert setting in shown, setting
    assert not [line for line in shown if line.startswith(("controlpath", "proxycommand", "localcommand"))]
    assert "SSH_" not in (tmp_path / "environment").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_key_and_no_ssh_stays_behind_when_it_is_ended(
    mesh: MeshOutputs, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "waits").touch()
    with subprocess.Popen(
        [sys.executable, "-m", "mesh", "ssh", "web-1", "--pulumi", engine(tmp_path, OUTPUTS)], cwd=REPOSITORY
    ) as process:
        _wait(lambda: (tmp_path / "known_hosts").exists() and (tmp_path / "pid").exists())
        key = Path((tmp_path / "path").read_text().strip())
        assert key.exists()
        process.send_signal(number)
        assert process.wait(10) == (-number if number == signal.SIGKILL else 128 + number)
    _wait(lambda: not key.parent.exists())
    pid = int((tmp_path / "pid").read_text())
    _wait(lambda: not _lives(pid))


def _lives(pid: int) -> bool:
    try:
        return "(sleep) Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def _wait(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
