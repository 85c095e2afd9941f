"""The program's process, which is started before the rest of the engine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.engine import project as projects
from lab.engine.launch import launched
from lab.engine.state.kept_keys import KEPT_KEYS
from lab.testing import REPOSITORY, wait
from tests.lab.engine.harness import PASSPHRASE, Project
from tests.processes import catches_interrupts, processes_in

WITHOUT_SDK = """
import sys
import lab.engine.deploy
assert "pulumi" not in sys.modules
from pulumi.runtime.proto import engine_pb2
from lab.engine import protocol
assert protocol.engine_pb2 is engine_pb2
"""


def test_the_engine_does_without_the_sdk_and_has_its_very_protocol() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_SDK], cwd=REPOSITORY, check=True)


def test_the_program_gets_nothing_that_opens_the_state(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("import os; print('these:', *os.environ)")
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE)
    opening = {KEPT_KEYS: str(tmp_path / "keys"), "PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}
    ran = project.run("up --yes --skip-preview", **opening)
    assert ran.code == 0, ran.out
    assert "these: " in ran.out
    assert "PASSPHRASE" not in ran.out
    assert KEPT_KEYS not in ran.out


def test_a_run_that_is_refused_leaves_no_process(tmp_path: Path) -> None:
    project = Project(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "lab.engine", "up"],
        cwd=project.folder, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env={**os.environ, **project.environment, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert done.returncode != 0
    assert "--yes or --skip-preview must be passed" in done.stdout + done.stderr
    wait(lambda: not list(processes_in(project.folder)), 20)


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.3])
def test_a_process_that_is_interrupted_while_it_imports_the_sdk_says_nothing(
    tmp_path: Path, seconds: float
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    process = launched(projects.Project.find(tmp_path))
    wait(lambda: catches_interrupts(process.pid), pause=0)  # Python itself begins
    wait(lambda: not catches_interrupts(process.pid), pause=0)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert out + err == b""
