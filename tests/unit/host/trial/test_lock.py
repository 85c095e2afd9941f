import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mesh.host.answers import AgentError, Answer
from mesh.host.places import Places
from mesh.host.trial.lock import forced_lock, lock

_HOLD = (
    "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX);"
    " print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


@contextmanager
def holder(places: Places) -> "Iterator[subprocess.Popen[str]]":
    """Another process that holds the lock, unsigned."""
    places.volatile.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-c", _HOLD, str(places.lock)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_running_holder_is_named(places: Places) -> None:
    with holder(places) as process, pytest.raises(AgentError) as caught, lock(places, wait=0.1):
        pass
    assert caught.value.answer is Answer.BUSY
    assert f"process {process.pid} (python" in caught.value.reason


def test_a_stopped_holder_is_killed(places: Places) -> None:
    with holder(places) as process:
        os.kill(process.pid, signal.SIGSTOP)
        with lock(places, wait=60):
            assert process.wait() == -signal.SIGKILL


def test_an_old_holder_is_killed(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.host.trial.lock.OLD", -1.0)
    with holder(places) as process, lock(places, wait=0.1):
        assert process.wait() == -signal.SIGKILL


def test_by_force_any_holder_is_killed(places: Places) -> None:
    with holder(places) as process, forced_lock(places, wait=0.1):
        assert process.wait() == -signal.SIGKILL


def test_a_holder_signs_with_the_moment_it_took_the_lock(places: Places) -> None:
    with lock(places, wait=0.1):
        signed = places.lock.read_text().split()
        assert signed[0] == str(os.getpid())
        with (
            pytest.raises(AgentError, match=rf"process {os.getpid()} \(.*, for \d s\)"),
            lock(places, wait=0.1),
        ):
            pass
