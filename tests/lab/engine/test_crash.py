"""Killed or interrupted between any two steps: the next run knows what there is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.engine.harness import Project

ROOT = Path(__file__).parents[3]
# three creates, then an update, a replacement either way and a delete: every kind of step
BEFORE = """
a = command("a")
b = command("b", triggers=[1], opts=ResourceOptions(depends_on=[a]))
c = command("c", triggers=[1], opts=ResourceOptions(depends_on=[b], delete_before_replace=True))
d = command("d", opts=ResourceOptions(depends_on=[c]))
"""
AFTER = """
a = command("a", say="2")
b = command("b", triggers=[2], opts=ResourceOptions(depends_on=[a]))
c = command("c", triggers=[2], opts=ResourceOptions(depends_on=[b], delete_before_replace=True))
"""
# stops the engine itself: the write of the state that is to be the last one is followed by SIGKILL
KILLER = """
import os, signal, sys
from lab.engine.state import backend
write, left = backend.Backend.write, [int(sys.argv.pop(1))]
def write_and_die(*arguments):
    write(*arguments)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
backend.Backend.write = write_and_die
from lab.engine.cli.main import main
main()
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "box")


def killed_after(project: Project, writes: int) -> bool:
    """Run `up`, killed right after the state has been written so many times; False if it got to its end."""
    ran = subprocess.run(
        [sys.executable, "-c", KILLER, str(writes), "up", "--yes", "--skip-preview"],
        cwd=project.folder,
        env={**os.environ, **project.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert ran.returncode in {0, -signal.SIGKILL}, ran.stderr
    return ran.returncode != 0


def alive(log: list[str]) -> dict[str, int]:
    """How many of each command's resource there are, by what the commands wrote."""
    found: dict[str, int] = {}
    for line in log:
        what, name = line.split()
        found[name] = found.get(name, 0) + {"create": 1, "delete": -1, "update": 0}[what]
    return {name: count for name, count in found.items() if count}


def survives(project: Project, writes: int) -> bool:
    """Kill, mend as docs say, run again, destroy; what was made must be known, and gone at the end."""
    project.write(BEFORE)
    assert project.run("up --yes --skip-preview").code == 0
    log = project.log()
    project.write(AFTER)
    killed = killed_after(project, writes)
    log += project.log()
    known = [record["urn"].rpartition("::")[2] for record in project.records() if record.get("id")]
    pending = [
        one["resource"]["urn"].rpartition("::")[2] for one in project.export().get("pending_operations", [])
    ]
    assert set(alive(log)) <= {*known, *pending}, f"killed after {writes} writes"
    assert (project.run("up --yes --skip-preview").code != 0) == killed, "a killed run leaves its lock"
    assert project.run("cancel --yes").code == 0
    assert project.run("refresh --yes --skip-preview --clear-pending-creates").code == 0
    assert project.run("up --yes --skip-preview").code == 0
    log += project.log()
    # what the killed run had deleted may be deleted once more
    assert {name for name, count in alive(log).items() if count > 0} == {"a", "b", "c"}
    assert project.run("up --yes --skip-preview --expect-no-changes").code == 0
    assert project.run("destroy --yes --skip-preview").code == 0
    log += project.log()
    # a step that ran when the power went may have happened twice, never not at all
    left = alive(log)
    assert set(left) <= set(pending)
    assert all(abs(count) == 1 for count in left.values())
    return killed


def test_killed_between_the_halves_of_a_replacement_loses_nothing(project: Project) -> None:
    assert survives(project, 6)


@pytest.mark.long
def test_killed_after_any_write_loses_nothing(tmp_path: Path) -> None:
    for writes in range(1, 40):
        if not survives(Project(tmp_path / str(writes)), writes):
            assert writes > 10, "six steps, each written before and after"
            return
    pytest.fail("no run came to its end")


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert process.poll() is None, "it has ended before"
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def running(project: Project, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The engine in a process of its own, `up` without words, once its slow command has begun."""
    with subprocess.Popen(
        [sys.executable, "-m", "lab.engine", *(words or ("up", "--yes", "--skip-preview"))],
        cwd=project.folder,
        env={**os.environ, **project.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            wait_for((project.folder / "begun").exists, process)
            yield process
        finally:
            process.kill()


def interrupted_once(seconds: str) -> str:
    return f"""
a = command("a", create="touch begun; sleep {seconds}; echo create a >> log")
b = command("b", opts=ResourceOptions(depends_on=[a]))
"""


def test_an_interrupt_lets_the_step_under_way_end_and_begins_no_other(project: Project) -> None:
    project.write(interrupted_once("2"))
    with running(project) as process:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "interrupted" in out
    assert "Traceback" not in out, out
    assert project.log() == ["create a"]
    assert "pending_operations" not in project.export()
    assert project.run("up --yes --skip-preview").steps() == ["create b"]


ANSWERED = """
import signal
{handling}
def answer(args):
    with open("log", "a") as file:
        file.write("asked\\n")
    return False
hooks = pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook("answer", answer)])
command("a", create="touch begun; sleep 2; exit 4", opts=ResourceOptions(hooks=hooks))
"""


@pytest.mark.parametrize(
    ("handling", "asked", "said"),
    [
        ("signal.signal(signal.SIGINT, signal.SIG_IGN)", ["asked"], "exit status 4"),
        ("signal.signal(signal.SIGINT, signal.SIG_DFL)", [], "rpc error: code = Unavailable"),
    ],
)
def test_an_interrupt_reaches_the_program_whose_hooks_answer_if_it_stays(
    project: Project, handling: str, asked: list[str], said: str
) -> None:
    project.write(ANSWERED.format(handling=handling))
    with running(project) as process:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said in out
    assert "Traceback" not in out, out
    assert project.log() == asked


def test_a_second_interrupt_ends_at_once_and_leaves_the_step_pending(project: Project) -> None:
    project.write(interrupted_once("300"))
    with running(project) as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    # gRPC may print a word of its own about a call that is cut
    assert "lab/engine" not in out
    assert [(one["type"], one["resource"]["urn"][-3:]) for one in project.export()["pending_operations"]] == [
        ("creating", "::a")
    ]
    project.write('a = command("a")')
    ran = project.run("up --yes --skip-preview")
    assert (ran.code, "interrupted while creating" in ran.out) == (0, True)


@pytest.mark.parametrize("options", ["", "--run-program"])
def test_a_second_interrupt_leaves_a_delete_at_once_too(project: Project, options: str) -> None:
    project.write('command("a", delete="touch begun; sleep 300")')
    assert project.run("up --yes --skip-preview").code == 0
    with running(project, *f"destroy --yes --skip-preview {options}".split()) as process:
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 1
    assert [(one["type"], one["resource"]["urn"][-3:]) for one in project.export()["pending_operations"]] == [
        ("deleting", "::a")
    ]


def test_a_command_under_way_is_ended_with_a_killed_program(project: Project) -> None:
    project.write('command("a")\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)')
    ran = project.run("up --yes --skip-preview")
    assert ran.code == 1
    assert "program exited with non-zero exit code" in ran.out
    assert "Traceback" not in ran.out
