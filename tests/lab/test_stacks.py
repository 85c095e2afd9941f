"""A command is about the stack that was named, or it is refused: no other one is ever touched."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.stacks import StackNameError, named_stack, plain_name
from lab.testing import REPOSITORY

PROGRAM = "import pulumi\npulumi.Stash('kept', input='word')\n"
SALT = "encryptionsalt: v1:EakVyhqSEn0=:v1:CetVXYHoba+DWven:/4AGP2t6B9VG+EbKv9CXpjit5IFIow==\n"


@pytest.mark.parametrize(
    ("words", "stack", "rest"),
    [
        ("up --yes", None, "up --yes"),
        ("destroy --stack staging --yes", "staging", "destroy --yes"),
        ("destroy --stack=staging --yes", "staging", "destroy --yes"),
        ("up -s prod", "prod", "up"),
        ("up -sprod -y", "prod", "up -y"),
        ("up -s=prod", "prod", "up"),
        ("up -ys prod", "prod", "up -y"),
        ("up -ysprod", "prod", "up -y"),
        ("up -yf", None, "up -yf"),
        ("up -t urn:x::s --yes", None, "up -t urn:x::s --yes"),
        ("up -mstack", None, "up -mstack"),
        ("stack rm foo --yes", "foo", "stack rm foo --yes"),
        ("stack init foo", "foo", "stack init foo"),
        ("stack select foo --stack foo", "foo", "stack select foo"),
        ("up --stack a --stack a", "a", "up"),
        ("config set x -- -s", None, "config set x -- -s"),
        ("stack output --show-secrets", None, "stack output --show-secrets"),
    ],
)
def test_the_stack_is_read_as_pulumi_reads_it(words: str, stack: str | None, rest: str) -> None:
    assert named_stack(words.split()) == (stack, rest.split())


@pytest.mark.parametrize(
    "words",
    [
        "up --stack a --stack b",
        "up -s a --stack=b",
        "stack rm a --stack b",
        "up -ysa -s b",
        "stack init a -s b",
    ],
)
def test_two_stacks_are_refused(words: str) -> None:
    with pytest.raises(StackNameError, match=r"two stacks are named, a and b|two stacks are named, b and a"):
        named_stack(words.split())


def test_an_option_without_a_name_is_refused() -> None:
    with pytest.raises(StackNameError, match="--stack needs a stack name"):
        named_stack(["up", "--stack"])


@pytest.mark.parametrize("given", ["lab", "pr-12", "a.b_c", "organization/mesh/lab"])
def test_a_name_is_taken(given: str) -> None:
    assert plain_name(given, "mesh") == given.rpartition("/")[2]


@pytest.mark.parametrize(
    "given",
    ["../x", "..", ".", "a/b", "x/../y", "organization/other/lab", "", "a b", "a" * 101, "a\n", "~x", "/"],
)
def test_what_is_no_name_is_refused(given: str) -> None:
    with pytest.raises(StackNameError, match="is not a valid stack name"):
        plain_name(given, "mesh")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the stacks `lab` and `staging`, each with one resource, that needs no cloud."""
    folder = tmp_path_factory.mktemp("project")
    runtime = f"{{name: python, options: {{virtualenv: {sys.prefix}}}}}"
    (folder / "Pulumi.yaml").write_text(f"name: box\nstackConfigDir: stacks\nruntime: {runtime}\n")
    (folder / "__main__.py").write_text(PROGRAM)
    (folder / "lab").symlink_to(REPOSITORY / "lab")
    (folder / "stacks").mkdir()
    for stack in ("lab", "staging"):
        (folder / "stacks" / f"Pulumi.{stack}.yaml").write_text(SALT)
        run = _lab(folder, "--stack", stack, "run", "up", "--yes", "--skip-preview")
        assert run.returncode == 0, run.stderr
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "project", symlinks=True))


def _lab(project: Path, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PULUMI_")}
    return subprocess.run(
        [sys.executable, "-m", "lab", *words],
        cwd=project, env={**environment, "PULUMI_CONFIG_PASSPHRASE": "four-words-make-one", **more},
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def _kept(project: Path) -> dict[str, int]:
    """How many stashes each stack's state has."""
    states = (project / ".lab" / "lab" / ".pulumi" / "stacks" / "box").glob("*.json")
    found = {}
    for path in states:
        latest = json.loads(path.read_text())["checkpoint"].get("latest") or {}
        found[path.stem] = sum(each["type"].endswith(":Stash") for each in latest.get("resources") or ())
    return found


def _files(project: Path) -> list[str]:
    return sorted(path.name for path in (project / "stacks").iterdir())


def test_only_the_stack_that_was_named_is_destroyed(project: Path) -> None:
    run = _lab(project, "run", "destroy", "--stack", "staging", "--yes")
    assert run.returncode == 0, run.stdout + run.stderr
    assert _kept(project) == {"lab": 1, "staging": 0}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--stack lab run destroy --stack staging --yes", "two stacks are named, lab and staging: name one"),
        ("run destroy -s lab -s staging --yes", "two stacks are named"),
        ("run destroy --stack nope --yes", "this stack file does not exist; existing stacks: lab, staging"),
        ("--stack nope run stack output", "this stack file does not exist; existing stacks: lab, staging"),
        ("--stack nope run preview", "this stack file does not exist; existing stacks: lab, staging"),
        ("--stack ../x run preview", "is not a valid stack name"),
        ("run preview --stack ../x", "is not a valid stack name"),
        ("run stack rm ../staging --yes", "is not a valid stack name"),
        ("run stack init ../x", "is not a valid stack name"),
        ("run stack select nope", "no stack named 'nope' found"),
        ("--stack lab --stack staging run destroy --yes", "two stacks are named, lab and staging"),
        ("--stack lab run stack rm staging --yes", "two stacks are named, lab and staging"),
        ("run destroy --yes --stack", "--stack needs a stack name"),
    ],
)
def test_anything_else_is_refused_and_changes_nothing(project: Path, words: str, says: str) -> None:
    before = _kept(project), _files(project)
    run = _lab(project, *words.split())
    assert run.returncode != 0
    assert says in run.stderr, run.stderr
    assert "Traceback" not in run.stderr
    assert (_kept(project), _files(project)) == before


def test_the_environment_names_a_stack_too_and_an_option_goes_before_it(project: Path) -> None:
    assert _lab(project, "run", "stack", "--show-name", PULUMI_STACK="staging").stdout == "staging\n"
    assert _lab(project, "run", "stack", "--show-name", "-s", "lab", PULUMI_STACK="staging").stdout == "lab\n"


def test_words_about_no_stack_are_taken(project: Path) -> None:
    listed = _lab(project, "run", "stack", "ls").stdout.replace("*", " ").splitlines()
    assert [line.split()[0] for line in listed[1:]] == ["lab", "staging"]
    assert _lab(project, "run", "version").stdout.startswith("v3.")
    assert "--skip-preview" in _lab(project, "run", "up", "--help").stdout


def test_to_look_at_a_stack_makes_none(project: Path) -> None:
    (project / "stacks" / "Pulumi.new.yaml").write_text(SALT)
    for words in ("stack output", "stack export", "refresh --yes", "destroy --yes"):
        run = _lab(project, "--stack", "new", "run", *words.split())
        assert "no stack named 'new' found" in run.stderr
    assert "new" not in _kept(project)


def test_the_engine_alone_leaves_no_file_of_a_stack_that_there_is_not(project: Path) -> None:
    before = _files(project)
    for words in ("config get x --stack nope", "preview --stack nope", "up --yes --stack lab --stack nope"):
        run = subprocess.run(
            [sys.executable, "-m", "lab.engine", *words.split()],
            cwd=project, check=False, capture_output=True, text=True, timeout=60,
            env={**os.environ, "PULUMI_CONFIG_PASSPHRASE": "four-words-make-one"},
        )  # fmt: skip
        assert run.returncode == 1
        assert "no stack named 'nope' found" in run.stderr or "two stacks are named" in run.stderr
    assert _files(project) == before


def test_a_lab_that_another_engine_keeps_is_not_stopped(project: Path) -> None:
    before = _kept(project)
    (project / ".lab" / "lab").rename(project / ".lab" / "pulumi")
    (project / ".lab" / "owner").write_text("pulumi\n")
    run = _lab(project, "down")
    assert run.returncode == 1
    assert "this lab's state belongs to the engine 'pulumi'" in run.stderr
    (project / ".lab" / "pulumi").rename(project / ".lab" / "lab")
    assert _kept(project) == before
