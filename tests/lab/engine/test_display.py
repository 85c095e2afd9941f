"""What a user sees of an operation."""

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab.engine.display.tree import Tree
from tests.lab.engine.harness import Project

ROOT = Path(__file__).parents[3]
FILE = "\n".join(f"line {number}" for number in range(1, 12))
PROGRAM = """
box = Box("box")
word = pulumi.Output.secret("hush")
a = command("a", stdin={stdin!r}, environment={{"WORD": word}}, opts=ResourceOptions(parent=box))
b = Stash("b", input={{"list": [1, {number}], "said": a.stdout, "word": word}})
pulumi.export("said", a.stdout)
pulumi.export("word", word)
pulumi.export("file", {stdin!r})
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The output of a life: previews and runs of making, changing, leaving alone, and deleting."""
    project = Project(tmp_path_factory.mktemp("display") / "box")
    found = {}

    def keep(name: str, words: str) -> None:
        ran = project.run(words)
        assert ran.code == 0, ran.out
        found[name] = ran.out

    project.write(PROGRAM.format(stdin=FILE, number=2))
    keep("plan", "preview")
    keep("plan in full", "preview --diff")
    keep("make", "up --yes --skip-preview")
    project.write(PROGRAM.format(stdin=FILE.replace("line 6", "line six"), number=3))
    keep("plan of a change", "preview")
    keep("change in full", "preview --diff")
    keep("change", "up --yes --skip-preview")
    keep("leave", "up --yes --skip-preview")
    keep("outputs", "stack output")
    keep("delete", "destroy --yes --skip-preview")
    return found


def test_a_plan_names_each_resource_and_counts_them(shown: dict[str, str]) -> None:
    lines = shown["plan"].splitlines()
    assert lines[0] == "Previewing update (dev):"
    assert " +  command:local:Command a create" in lines
    assert " +  pulumi:index:Stash b create" in lines
    assert lines[-2:] == ["Resources:", "    + 4 to create"]


def test_a_plan_of_a_change_names_the_properties(shown: dict[str, str]) -> None:
    assert " ~  command:local:Command a update [diff: stdin]" in shown["plan of a change"]
    assert " ~  pulumi:index:Stash b update [diff: input]" in shown["plan of a change"]


def test_unknowns_are_said_to_be_unknown(shown: dict[str, str]) -> None:
    assert re.search(r"said *: \[unknown\]", shown["plan in full"])
    assert "04da6b54" not in "".join(shown.values())


def test_secrets_are_never_shown(shown: dict[str, str]) -> None:
    assert "hush" not in "".join(shown.values())
    assert re.search(r"WORD *: \[secret\]", shown["plan in full"])
    assert re.search(r"word +\[secret\]", shown["outputs"])


def test_text_of_several_lines_is_compared_line_by_line(shown: dict[str, str]) -> None:
    lines = [line.strip() for line in shown["change in full"].splitlines()]
    assert "- line 6" in lines
    assert "+ line six" in lines
    assert "line 5" in lines
    assert "line 1" not in lines, "far from the change"
    assert "~ [1]: 2 => 3" in lines


def test_progress_has_a_line_for_begin_and_end_with_the_time(shown: dict[str, str]) -> None:
    assert " +  command:local:Command a creating..." in shown["make"]
    assert re.search(r"^ \+  command:local:Command a created \(\d+\.\ds\)$", shown["make"], re.MULTILINE)
    assert re.search(r"^ ~  command:local:Command a updated \(\d+\.\ds\)$", shown["change"], re.MULTILINE)
    assert re.search(r"^ -  command:local:Command a deleted \(\d+\.\ds\)$", shown["delete"], re.MULTILINE)
    assert re.search(r"^Duration: \d+s$", shown["make"], re.MULTILINE)


def test_the_summary_counts_what_was_done_and_what_was_left(shown: dict[str, str]) -> None:
    assert "    + 4 created" in shown["make"]
    assert "    ~ 2 updated\n    2 unchanged" in shown["change"]

    assert "    4 unchanged" in shown["leave"]
    assert "    - 4 deleted" in shown["delete"]


def test_outputs_are_shown_with_what_changed(shown: dict[str, str]) -> None:
    assert re.search(r'^    said: "1"', shown["make"], re.MULTILINE)
    assert "+ line six" in shown["change"]
    assert re.search(r"said +1", shown["outputs"])


def test_without_a_terminal_there_are_no_colours(shown: dict[str, str]) -> None:
    assert "\033" not in "".join(shown.values())


def on_a_terminal(project: Project, words: str, **environment: str) -> str:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "lab.engine", *words.split()],
        cwd=project.folder,
        env={**os.environ, **project.environment, "PYTHONPATH": str(ROOT), "TERM": "xterm", **environment},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        found = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            found += part
        assert process.wait() == 0
    os.close(ours)
    return found.decode()


def test_a_terminal_shows_a_tree_that_grows_with_colours_unless_unwanted(tmp_path: Path) -> None:
    project = Project(tmp_path / "box")
    project.write('Stash("inside", input=1, opts=ResourceOptions(parent=Box("box")))')
    drawn = on_a_terminal(project, "preview", NO_COLOR="")
    assert "\033[32m" in drawn
    drawn = on_a_terminal(project, "up --yes --skip-preview")
    plain = re.sub(r"\033\[[?\d;]*[A-Za-z]", "", drawn).replace("\r", "")
    assert "\033[32m" not in drawn
    last = [line.rstrip() for line in plain.splitlines() if line.startswith(" +")][-3:]
    assert re.fullmatch(r" \+  pulumi:pulumi:Stack +box-dev  created( \(\d+\.\ds\))?", last[0])
    assert re.fullmatch(r" \+  └─ t:m:Box +box +created", last[1])
    assert re.fullmatch(r" \+     └─ pulumi:index:Stash +inside +created \(\d+\.\ds\)", last[2])


def grown(count: int) -> Tree:
    """A tree in which most is done, one thing is under way and one has failed."""
    tree = Tree()
    for number in range(count):
        urn = f"urn:pulumi:lab::p::a:index:Mesh$a:index:Node$command:remote:Command::web-{number}-apply"
        metadata = {"urn": urn, "type": "wireguard-mesh:index:SomethingLong", "new": {"parent": ""}}
        tree.begin(metadata, "+", "creating")
        if number != 7:
            tree.end(metadata, "failed" if number == 3 else "created", timed=True)
    return tree


def test_on_a_small_screen_the_status_is_readable_and_what_is_under_way_is_shown() -> None:
    lines = [line for line, _ in grown(46).lines(80, 23)]
    assert len(lines) == 23
    assert all(len(line) <= 80 for line in lines)
    assert sum("created (" in line for line in lines) == 20
    assert any("web-7-apply" in line and "creating" in line for line in lines)
    assert any("web-3-apply" in line and "failed" in line for line in lines)
    assert lines[-1] == "    ... and 24 more"
    assert len(grown(46).lines()) == 46, "all of them at the end"


@pytest.mark.parametrize(
    ("answers", "code"), [("d\ny\n", 0), ("n\n", 1), ("\n", 1), ("what\nno\n", 1), ("", 1)]
)
def test_the_question_takes_first_letters_and_shows_details(
    tmp_path: Path, answers: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path / "box")
    project.write('Stash("a", input={"key": "value"})')
    typed = io.StringIO(answers)
    monkeypatch.setattr(typed, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", typed)
    ran = project.run("up")
    assert ran.code == code
    assert ('key: "value"' in ran.out) == answers.startswith("d")
    assert ("created" in ran.out) == (code == 0)


def test_a_failed_run_ends_with_its_diagnostics_and_shows_no_old_outputs(tmp_path: Path) -> None:
    project = Project(tmp_path / "box")
    project.write('pulumi.export("old", "value")')
    assert 'old: "value"' in project.run("up --yes --skip-preview").out
    project.write('pulumi.export("old", "value")\nraise pulumi.RunError("no such thing")')
    for words in ("preview", "up --yes --skip-preview"):
        out = project.run(words).out
        assert "value" not in out
        assert out.index("Diagnostics:") < out.index("no such thing") < out.index("Resources:")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("up", "--yes or --skip-preview must be passed in"),
        ("up --yes --stack nobody", "no stack named 'nobody' found"),
        ("stack output nothing", "does not have output property 'nothing'"),
        ("config get nothing", "configuration key 'nothing' not found"),
        ("up --yes --cwd /", "no Pulumi.yaml project file found"),
    ],
)
def test_an_error_is_one_line(tmp_path: Path, words: str, said: str) -> None:
    project = Project(tmp_path / "box")
    project.write("")
    ran = project.run(words)
    assert ran.code == 1
    assert ran.out.startswith("error: ")
    assert said in ran.out
    assert len(ran.out.splitlines()) == 1


def test_help_lists_pulumis_own_options(tmp_path: Path) -> None:
    project = Project(tmp_path / "box")
    for words, options in {
        "up --help": "--yes --skip-preview --diff --json --parallel --continue-on-error --expect-no-changes "
        "--target --target-dependents --target-replace --exclude --exclude-dependents --replace --refresh "
        "--run-program --ignore-protect",
        "preview --help": "--diff --json --expect-no-changes --target --target-replace --replace --refresh",
        "destroy --help": "--yes --skip-preview --preview-only --target --target-dependents --exclude "
        "--exclude-protected --ignore-protect --remove --run-program",
        "refresh --help": "--yes --skip-preview --preview-only --clear-pending-creates --expect-no-changes "
        "--target --target-dependents --exclude --exclude-dependents",
        "state delete --help": "--yes --force --target-dependents --all",
        "stack --help": "--show-urns --show-ids --show-secrets --show-name",
    }.items():
        out = project.run([*words.split()], COLUMNS="200").out
        assert [option for option in options.split() if option not in out] == []


def test_debug_messages_stay_with_the_program(tmp_path: Path) -> None:
    """As with Pulumi without `--debug`; the SDK has several for each resource."""
    project = Project(tmp_path / "box")
    project.write('Stash("a", input=1)\npulumi.log.debug("low")\npulumi.log.info("high")')
    ran = project.run("up --yes --skip-preview")
    said = [event["diagnosticEvent"] for event in ran.events if "diagnosticEvent" in event]
    assert [(one["severity"], one["message"]) for one in said] == [("info", "high")]
