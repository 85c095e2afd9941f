"""Processes end as Python ends them, whatever they have left for their end."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from lab.testing import REPOSITORY

PYTHON_ITSELF, ENDED = "sys.exit({code})", "from lab.ending import end; end({code})"
WAYS = [PYTHON_ITSELF, ENDED]
"""What holds of the one holds of the other."""

LEFT = """
import atexit, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
ThreadPoolExecutor().submit(int)  # nobody shuts it down
def late():
    time.sleep(0.5)
    print("the thread is done")
threading.Thread(target=late).start()
atexit.register(lambda: print("the end", end=""))
"""
OPEN = """
import sys, tempfile
file = open("written", "w")
file.write("what a file holds")
kept = tempfile.NamedTemporaryFile(dir=".")
"""


def _end(
    way: str, program: str = "import sys\n", *, code: int = 0, folder: Path = REPOSITORY,
    stdout: int | IO[str] = subprocess.PIPE, before: Sequence[str] = (),
) -> "subprocess.CompletedProcess[str]":  # fmt: skip
    script = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n{program}\n{way.format(code=code)}"
    return subprocess.run(
        [*before, sys.executable, "-c", script], cwd=folder, stdout=stdout, stderr=subprocess.PIPE,
        text=True, check=False, env={**os.environ, "PYTHONUNBUFFERED": ""},
    )  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_threads_and_handlers_come_first_and_all_is_written(way: str) -> None:
    ended = _end(way, LEFT, code=3)
    assert ended.returncode == 3
    assert ended.stdout == "the thread is done\nthe end"


@pytest.mark.parametrize("way", WAYS)
def test_files_that_were_left_open_are_written_and_gone_where_they_are_temporary(
    tmp_path: Path, way: str
) -> None:
    assert _end(way, OPEN, folder=tmp_path).returncode == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"written": "what a file holds"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("code", [0, 1])
def test_output_that_cannot_be_written_is_no_success(way: str, code: int) -> None:
    with Path("/dev/full").open("w") as full:
        ended = _end(way, "print('lost')", code=code, stdout=full)
    assert ended.returncode != 0
    if way == ENDED:
        assert ended.returncode == (code or 120)
        assert ended.stderr == "error: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("way", WAYS)
def test_a_process_without_streams_ends_well(way: str) -> None:
    assert _end(way, before=["sh", "-c", 'exec "$@" >&- 2>&-', "sh"]).returncode == 0


INTERRUPTED = """
import os, signal, sys, threading, time
def late():
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.5)
threading.Thread(target=late).start()
"""


@pytest.mark.parametrize("way", WAYS)
def test_an_interrupt_at_the_end_changes_no_code(way: str) -> None:
    assert _end(way, INTERRUPTED, code=3).returncode == 3
