"""Ctrl-C in the first second, while a command is still being loaded."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import catches_interrupts

REPOSITORY = Path(__file__).parents[2]
COMMANDS = (
    ["lab", "--project", "/nowhere", "start"],
    ["lab", "run", "version"],
    ["lab.hosts", "list", "--state", "/nowhere"],
    ["lab.cloud", "status", "--state", "/nowhere"],
    ["lab.engine", "preview"],
    ["mesh", "check"],
)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: str(words[0]))
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
def test_a_command_that_is_interrupted_while_it_is_loaded_says_nothing(
    words: list[str], delay: float
) -> None:
    environment = {**os.environ, "PULUMI_BACKEND_URL": "file:///nowhere"}
    with subprocess.Popen(
        [sys.executable, "-m", *words], cwd=REPOSITORY, env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        end = time.monotonic() + 30
        while not catches_interrupts(process.pid):  # Python itself begins
            assert time.monotonic() < end
        while catches_interrupts(process.pid) and process.poll() is None:  # and hands it back
            assert time.monotonic() < end
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[0]
    assert "Traceback" not in said, said
    assert "KeyboardInterrupt" not in said, said


def test_whoever_imports_them_keeps_the_handler_he_has() -> None:
    script = "import signal, lab, mesh; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    assert done.stdout == "True\n"


def test_the_installed_command_is_left_to_ctrl_c_while_it_is_loaded(tmp_path: Path) -> None:
    script = tmp_path / "mesh"
    script.write_text("import signal, mesh; print(signal.getsignal(signal.SIGINT) is signal.SIG_DFL)")
    done = subprocess.run(
        [sys.executable, str(script), "check"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "True\n"
