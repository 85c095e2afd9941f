"""Killed or interrupted between any two steps: the next run knows what there is."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.engine.harness import Project, plain

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
# stops the engine itself: the write that is to be the last one, of the state or of a line of its journal, is
# followed by SIGKILL (`whole`), or cut in its middle (`torn`); or SIGKILL comes instead of a write of the
# state (`ended`), and lines do not count
KILLER = """
import os, signal, sys
from lab.engine.state import backend, journal_file
left, how = [int(sys.argv.pop(1))], sys.argv.pop(1)
def and_die(write):
    def write_and_die(*arguments):
        left[0] -= 1
        if left[0] or how == "whole":
            write(*arguments)
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
    return write_and_die
def append(journal, line):
    if how == "torn" and left[0] == 1:
        os.write(journal._file, line[:len(line) // 2].encode())
    append_whole(journal, line)
backend.Backend.write = and_die(backend.Backend.write)
if how != "ended":
    append_whole = and_die(journal_file.JournalFile.append)
    journal_file.JournalFile.append = append
from lab.engine.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "box")


def killed_after(project: Project, writes: int, how: str = "whole") -> bool:
    """Run `up`, killed at this write (see above); False if it got to its end."""
    ran = subprocess.run(
        [sys.executable, "-c", KILLER, str(writes), how, "up", "--yes", "--skip-preview"],
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


def survives(project: Project, writes: int, how: str = "whole") -> bool:
    """Kill, mend as docs say, run again, destroy; what was made must be known, and gone at the end."""
    project.write(BEFORE)
    assert project.run("up --yes --skip-preview").code == 0
    log = project.log()
    project.write(AFTER)
    killed = killed_after(project, writes, how)
    log += project.log()
    assert_read_alike(project)
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
    # what the killed run had deleted may be deleted once more: surely where the line that says so is cut
    twice = set(pending) if how == "torn" else set()
    there = {name for name, count in alive(log).items() if count > 0}
    assert {"a", "b", "c"} - twice <= there <= {"a", "b", "c"}
    assert project.run("up --yes --skip-preview --expect-no-changes").code == 0
    assert project.run("destroy --yes --skip-preview").code == 0
    log += project.log()
    # a step that ran when the power went may have happened twice, never not at all
    left = alive(log)
    assert set(left) <= set(pending)
    assert all(abs(count) == 1 for count in left.values())
    return killed


def assert_read_alike(project: Project) -> None:
    """Commands that only look see what the killed run had done, and change no file."""
    before = files(project)
    exported = [record["urn"] for record in project.export().get("resources", [])]
    shown = project.run("stack --show-urns").out
    assert all(f"URN: {urn}" in shown for urn in exported)
    assert f"Current stack resources ({len(exported)}):" in shown
    listed = json.loads(project.run("stack ls --json").out)
    assert [row["resourceCount"] for row in listed] == [len(exported)]
    assert project.run("stack output").code == 0
    assert project.run("preview").code == 0
    assert files(project) == before


def files(project: Project) -> dict[str, bytes]:
    folder = project.state / ".pulumi" / "stacks" / "box"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("how", ["whole", "torn"])
def test_killed_between_the_halves_of_a_replacement_loses_nothing(project: Project, how: str) -> None:
    assert survives(project, 8, how)


@pytest.mark.long
@pytest.mark.parametrize("how", ["whole", "torn"])
def test_killed_at_any_write_loses_nothing(tmp_path: Path, how: str) -> None:
    for writes in range(1, 40):
        if not survives(Project(tmp_path / str(writes)), writes, how):
            assert writes > 10, "six steps, each written before and after"
            return
    pytest.fail("no run came to its end")


SECRETIVE = """
Stash("key", input=pulumi.Output.secret("c2VjcmV0IGtleQ=="))
a = command("a")
command("b", opts=ResourceOptions(depends_on=[a]))
pulumi.export("word", pulumi.Output.secret("hush"))
"""


@pytest.fixture
def left(project: Project) -> Project:
    """A project whose first run was killed when all was made, and nothing but the journal knows that."""
    project.write(SECRETIVE)
    assert killed_after(project, 1, "ended")
    assert project.log() == ["create a", "create b"]
    assert "resources" not in files(project)["dev.json"].decode()
    return project


def test_a_journal_keeps_secrets_and_strangers_out(left: Project) -> None:
    journal = left.state / ".pulumi" / "stacks" / "box" / "dev.journal"
    assert journal.stat().st_mode & 0o777 == 0o600
    assert b"c2VjcmV0IGtleQ" not in journal.read_bytes()
    key = next(record for record in left.records() if record["urn"].endswith("::key"))
    assert plain(key)["outputs"]["output"] == {"secret": "c2VjcmV0IGtleQ=="}


@pytest.mark.parametrize(
    ("words", "log"),
    [
        ("up --yes --skip-preview", []),
        ("refresh --yes --skip-preview", []),
        ("destroy --yes --skip-preview", ["delete b", "delete a"]),
        ("state protect --all --yes", []),
        ("stack import --file exported.json", []),
    ],
)
def test_a_command_that_changes_the_state_takes_over_what_a_killed_run_left(
    left: Project, words: str, log: list[str]
) -> None:
    (left.folder / "exported.json").write_text(left.run("stack export").out)
    assert left.run("cancel --yes").code == 0
    assert left.run(words).code == 0
    assert left.log() == log
    assert sorted(files(left)) == ["dev.json", "dev.json.bak"]
    assert left.run("up --yes --skip-preview").code == 0
    assert left.log() == (["create a", "create b"] if log else [])


def test_a_stack_that_is_removed_takes_its_journal_along(left: Project) -> None:
    assert left.run("cancel --yes").code == 0
    assert left.run("stack rm --yes").code == 1, "it has resources"
    assert left.run("stack rm --yes --force --preserve-config").code == 0
    assert files(left) == {}


def test_a_second_killed_run_leaves_what_both_have_done(left: Project) -> None:
    left.write(SECRETIVE + 'command("c")')
    assert left.run("cancel --yes").code == 0
    assert killed_after(left, 2, "ended")
    assert left.log() == ["create c"]
    assert {"a", "b", "c", "key"} <= {record["urn"].rpartition("::")[2] for record in left.records()}


def test_a_journal_of_another_state_changes_nothing(left: Project) -> None:
    """A run that was killed when it had written the state whole, and not yet removed the journal."""
    folder = left.state / ".pulumi" / "stacks" / "box"
    journal = (folder / "dev.journal").read_bytes()
    assert left.run("cancel --yes").code == 0
    assert left.run("destroy --yes --skip-preview").code == 0
    (folder / "dev.journal").write_bytes(journal)
    assert left.export().get("resources") is None
    assert left.run("up --yes --skip-preview").code == 0
    assert sorted(files(left)) == ["dev.json", "dev.json.bak"]


def test_a_damaged_journal_is_refused_and_left_as_it_is(left: Project) -> None:
    path = left.state / ".pulumi" / "stacks" / "box" / "dev.journal"
    head, first, *others = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([head, first[: len(first) // 2], *others]))
    before = files(left)
    assert left.run("cancel --yes").code == 0
    for words in ("up --yes --skip-preview", "preview", "stack export", "stack output", "stack"):
        ran = left.run(words)
        assert (ran.code, "the journal beside the state is damaged" in ran.out) == (1, True), ran.out
        assert "Traceback" not in ran.out
    assert files(left) == before


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
    # gRPC may print a word of its own about a call that is cut
    assert "lab/engine" not in out, out
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
