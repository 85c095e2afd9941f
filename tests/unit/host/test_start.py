"""A start of the agent is mostly imports: each command loads what it needs and no more."""

import subprocess
import sys
from pathlib import Path

import pytest

from mesh.host.commands.install import with_bytecode
from mesh.program.agent import build_agent

# Costly, and of use to `install`, or in rare cases, alone.
DEAR = {
    *("argparse", "asyncio", "ctypes", "dataclasses", "difflib", "inspect", "logging", "secrets", "shutil"),
    *("socket", "subprocess", "tempfile", "typing", "zipfile"),
}
ENTRIES = {
    "nosuch": "wgmesh.cli",
    "keys": "wgmesh.commands.keys",
    "apply": "wgmesh.commands.apply",
    "install": "wgmesh.commands.install",
    "status": "wgmesh.commands.status",
    "guard": "wgmesh.commands.guard",
    "link-up": "wgmesh.commands.boot",
    "run-trial": "wgmesh.trial.machine",
    "expire": "wgmesh.trial.expiry",
}
"""A command, and the module that has it."""
# What reads the network, tries packets, or hears of changes of the ruleset, has sockets.
NEEDED = {
    name: {"socket"} for name in ("apply", "expire", "guard", "install", "link-up", "run-trial", "status")
}
LOAD = """
import sys, importlib.util, runpy, zipimport
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
from wgmesh.bytecode import use_bytecode
use_bytecode(zipimport.zipimporter(sys.argv[1]))
import wgmesh.cli
__import__(sys.argv[2])
print(*sorted(set(sys.modules) - before))
"""
"""As `python3 wgmesh.pyz` does, which has `runpy` and what comes with it."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agent")
    installed = folder / "installed.pyz"
    installed.write_bytes(with_bytecode(Path(build_agent(folder).path)))
    return installed


def _loaded(archive: Path, command: str) -> set[str]:
    return _load(archive, ENTRIES[command])


def _load(archive: Path, module: str) -> set[str]:
    argv = [sys.executable, "-I", "-c", LOAD, str(archive), module]
    return set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("command", ENTRIES)
def test_no_start_loads_dear_modules_that_it_does_not_need(archive: Path, command: str) -> None:
    assert _loaded(archive, command) & DEAR == NEEDED.get(command, set())


def test_dear_modules_would_be_seen(archive: Path) -> None:
    assert "wgmesh.commands.apply" in _loaded(archive, "apply")
    assert DEAR & _load(archive, "zipfile") == {"shutil", "zipfile"}


def test_keys_are_stored_without_what_changes_the_network(archive: Path) -> None:
    own = {name for name in _loaded(archive, "keys") if name.startswith("wgmesh.")}
    assert {name for name in own if name.startswith(("wgmesh.trial", "wgmesh.live"))} == {
        *("wgmesh.trial", "wgmesh.trial.armed", "wgmesh.trial.lock", "wgmesh.trial.record"),
        *("wgmesh.live", "wgmesh.live.hostkey"),
    }


def test_a_trial_and_its_end_come_without_what_proves_and_tries(archive: Path) -> None:
    for command in ("run-trial", "expire", "link-up"):
        own = _loaded(archive, command)
        assert not own & {"wgmesh.trial.proof", "wgmesh.trial.packets", "wgmesh.commands.apply"}, command
