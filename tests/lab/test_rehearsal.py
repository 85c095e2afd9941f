"""Which engine keeps a lab's state, and what an engine that is not there changes: nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.engine.state.backend import STARTED, Backend
from lab.engine.state.kept_keys import KEPT_KEYS
from lab.processes import start_time
from lab.rehearsal import Rehearsal
from lab.testing import REPOSITORY, wait
from tests.processes import processes_in


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "Pulumi.yaml").write_text(
        "name: p\nruntime: {name: python, options: {toolchain: pip}}\nstackConfigDir: stacks\n"
    )
    (tmp_path / "__main__.py").write_text("")
    token = "t" * 64
    (tmp_path / "stacks" / "Pulumi.lab.yaml").write_text(
        f"config:\n  hcloud:endpoint: http://127.0.0.1:1/v1\n  hcloud:token: {token}\n"
    )
    return tmp_path


def _lab(
    project: Path, *words: str, engine: str = "lab", by: tuple[str, str] = ("-m", "lab")
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *by, "--project", str(project), "--engine", engine, *words],
        cwd=REPOSITORY, env={**os.environ, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def _files(project: Path) -> list[str]:
    return sorted(str(path.relative_to(project)) for path in project.rglob("*"))


@pytest.mark.parametrize(
    "words", [["start"], ["run", "up", "--yes"], ["run", "stack", "import"], ["run", "preview"]]
)
def test_an_engine_that_is_not_there_changes_nothing(project: Path, words: list[str]) -> None:
    before = _files(project)
    done = _lab(project, *words, engine="pulumi")
    assert done.returncode == 1
    assert "ENGINE=pulumi needs `pulumi` on PATH" in done.stderr
    assert _files(project) == before
    went_on = _lab(project, "run", "stack")
    assert "belongs to" not in went_on.stderr, went_on.stderr


def test_the_key_of_a_passphrase_of_ones_own_is_kept_nowhere(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    made = Rehearsal(project=project, stack="lab", engine="lab")
    assert made.environment()[KEPT_KEYS] == str(project / ".lab" / "derived-keys")
    monkeypatch.setenv(KEPT_KEYS, "as of a lab around this one")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "mine")
    assert KEPT_KEYS not in made.environment()
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(project / "passphrase"))
    assert KEPT_KEYS not in made.environment()


def test_a_lab_that_another_engine_has_made_nothing_in_is_taken_over(project: Path) -> None:
    kept = project / ".lab" / "pulumi" / ".pulumi" / "stacks" / "p" / "lab.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({"version": 3, "checkpoint": {"stack": "lab", "latest": None}}))
    (project / ".lab" / "owner").write_text("pulumi\n")
    done = _lab(project, "run", "preview")
    assert done.returncode == 0, done.stderr + done.stdout
    assert (project / ".lab" / "owner").read_text() == "lab\n"


def test_a_value_may_be_set_before_the_first_up(project: Path) -> None:
    """Pulumi sets none of a stack that is not in its backend."""
    kept = project / ".lab" / "lab" / ".pulumi" / "stacks" / "p" / "lab.json"
    looked = _lab(project, "run", "config")
    assert looked.returncode == 0, looked.stderr
    assert not kept.exists(), "to look at a stack makes none"
    done = _lab(project, "run", "config", "set", "key0", "value")
    assert done.returncode == 0, done.stderr + done.stdout
    assert kept.exists()


def test_a_lab_that_another_engine_has_made_something_in_is_refused(project: Path) -> None:
    kept = project / ".lab" / "pulumi" / ".pulumi" / "stacks" / "p" / "lab.json"
    kept.parent.mkdir(parents=True)
    resource = {"urn": "urn:pulumi:lab::p::pulumi:pulumi:Stack::p-lab", "custom": False, "type": "x"}
    kept.write_text(json.dumps({"version": 3, "checkpoint": {"latest": {"resources": [resource]}}}))
    (project / ".lab" / "owner").write_text("pulumi\n")
    done = _lab(project, "run", "stack")
    assert done.returncode == 1
    assert "belongs to the engine 'pulumi'" in done.stderr
    assert (project / ".lab" / "owner").read_text() == "pulumi\n"


def test_what_a_killed_run_left_in_its_journal_counts(project: Path) -> None:
    backend = Backend(f"file://{project / '.lab' / 'lab'}")
    backend.write("p", "lab", "{}")
    rehearsal = Rehearsal(project=project, stack="lab", engine="lab")
    assert not rehearsal._has_resources("lab")
    made = {"urn": "urn:pulumi:lab::p::hcloud:index/server:Server::a", "type": "hcloud:index/server:Server"}
    backend.journal("p", "lab", {}).append(json.dumps([["add", 0, made]]))
    assert rehearsal._has_resources("lab"), "`make down` has something to destroy"
    assert rehearsal._has_made_something("lab"), "another engine is refused"


PROCESSES = """
import subprocess, sys
from lab import __main__ as lab
started = subprocess.Popen
def start(command, **given):
    what = next((word for word in command if word.endswith("launcher.py")), command[0]).rpartition("/")[2]
    print("starts", what, "as engine" if "lab.engine.cli.main" in sys.modules else "before")
    return started(command, **given)
subprocess.Popen = start
sys.exit(lab.main())
"""


@pytest.mark.parametrize(
    ("words", "starts"),
    [("stack", []), ("preview", ["starts launcher.py before"]), ("preview --help", [])],
)
def test_a_command_line_is_the_engine_itself_and_starts_the_program_before_that(
    project: Path, words: str, starts: list[str]
) -> None:
    _lab(project, "run", "config", "set", "key0", "value")  # makes the stack
    done = _lab(project, "run", *words.split(), by=("-c", PROCESSES))
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("starts")] == starts


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("up", "--yes or --skip-preview must be passed"),
        ("up --nonsense", "unrecognized arguments: --nonsense"),
    ],
)
def test_a_run_that_is_refused_leaves_no_process(project: Path, words: str, says: str) -> None:
    done = _lab(project, "run", *words.split())
    assert done.returncode != 0
    assert says in done.stderr
    wait(lambda: not list(processes_in(project)), 20)


def _lock(project: Path, lock: dict[str, Any]) -> Path:
    folder = project / ".lab" / "lab" / ".pulumi" / "locks" / "organization" / "p" / "lab"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "other.json"
    path.write_text(json.dumps({"username": "u", "hostname": "h", "timestamp": "now", **lock}))
    return path


def test_the_lock_of_a_run_that_goes_on_is_respected(project: Path) -> None:
    lock = _lock(project, {"pid": os.getpid(), STARTED: start_time(os.getpid())})
    done = _lab(project, "run", "up", "--yes", "--skip-preview")
    assert done.returncode != 0
    assert "currently locked" in done.stderr
    assert lock.exists()


def test_so_is_the_lock_of_pulumis_own_engine_which_does_not_tell_when_it_began(project: Path) -> None:
    with subprocess.Popen(["/opt/bin/pulumi", "60"], executable="/bin/sleep") as other:
        lock = _lock(project, {"pid": other.pid})
        done = _lab(project, "run", "up", "--yes", "--skip-preview")
        other.kill()
    assert "currently locked" in done.stderr
    assert lock.exists()


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_lock_that_was_cut_off_is_released(project: Path, text: str) -> None:
    lock = _lock(project, {})
    lock.write_text(text)
    done = _lab(project, "run", "up", "--yes", "--skip-preview")
    assert done.returncode == 0, done.stderr
    assert "an earlier run was killed: releasing its lock" in done.stderr
    assert not lock.exists()


@pytest.mark.parametrize(
    "lock",
    [
        pytest.param({"pid": os.getpid(), STARTED: 1}, id="another process has the number"),
        pytest.param({"pid": os.getpid()}, id="a process that is no engine has the number"),
        pytest.param({"pid": 2**30, STARTED: 1}, id="no process has the number"),
        pytest.param({"pid": "self", STARTED: 1}, id="this very process has the number"),
    ],
)
def test_the_lock_of_a_killed_run_is_released(project: Path, lock: dict[str, Any]) -> None:
    path = _lock(project, lock)
    own = f"import os; path = {str(path)!r}; text = open(path).read()\n"
    own += "open(path, 'w').write(text.replace('\"self\"', str(os.getpid())))\n"
    run = f"{own}import sys; from lab import __main__ as lab; sys.exit(lab.main())"
    done = _lab(project, "run", "up", "--yes", "--skip-preview", by=("-c", run))
    assert done.returncode == 0, done.stderr
    assert "an earlier run was killed: releasing its lock" in done.stderr
    assert not path.exists()


def test_a_lock_names_its_process_as_long_as_that_holds_it(tmp_path: Path) -> None:
    backend = Backend(f"file://{tmp_path}")
    with backend.locked("p", "lab"):
        (path,) = tmp_path.rglob("locks/**/*.json")
        held = json.loads(path.read_text())
    assert (held["pid"], held[STARTED]) == (os.getpid(), start_time(os.getpid()))
    assert not path.exists()
