"""How the engine's command line is read: as Pulumi reads its own, by a parser that starts in no time."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.engine.cli.context import CommandError
from lab.engine.cli.words import CWD, STACK, YES, Command, Group, hidden, repeated, run, switch, value
from lab.testing import REPOSITORY
from tests.lab.engine.harness import Project

Calls = list[tuple[tuple[str, ...], dict[str, Any]]]


@pytest.fixture
def calls() -> Calls:
    """What was called, with which words and options."""
    return []


@pytest.fixture
def group(calls: Calls) -> Group:
    def overview(**options: Any) -> None:
        calls.append(((), options))

    def put(*words: str, **options: Any) -> None:
        """Put something somewhere."""
        calls.append((words, options))

    options = (
        CWD, STACK, YES, switch("--force", "-f", variable="BOX_FORCE"),
        value("--count", "-n", shown="COUNT", kind=int, default=3, variable="BOX_COUNT"),
        repeated("--target", "-t", does="Only this", into="targets"), hidden(switch("--secret")),
    )  # fmt: skip
    commands = {
        "put": Command(run=put, takes=("KEY", "[VALUE]"), options=options),
        "all": Command(run=put, takes=("[URN]...",), options=options),
        "rm": Command(run=put, hidden=True),
    }
    box = Group(does="A box.", commands=commands, overview=Command(run=overview, options=(CWD, STACK)))
    return Group(does="Everything.", commands={"box": box})


@pytest.mark.parametrize(
    ("typed", "words", "options"),
    [
        ("put a b", ["a", "b"], {}),
        ("put a --yes b", ["a", "b"], {"yes": True}),
        ("put --yes a -f b -s lab", ["a", "b"], {"yes": True, "force": True, "stack_name": "lab"}),
        ("put -yfs lab a", ["a"], {"yes": True, "force": True, "stack_name": "lab"}),
        ("put -slab a --count=4", ["a"], {"stack_name": "lab", "count": 4}),
        ("put -C /tmp a", ["a"], {"cwd": Path("/tmp")}),
        ("put a -- -b", ["a", "-b"], {}),
        ("put -- --yes --force", ["--yes", "--force"], {}),
        ("put a -5", ["a", "-5"], {}),
        ("put --secret a", ["a"], {"secret": True}),
        ("all", [], {}),
        ("all a -t x b --target y c", ["a", "b", "c"], {"targets": ["x", "y"]}),
    ],
)
def test_options_stand_anywhere_and_nothing_is_one_behind_two_dashes(
    group: Group, calls: Calls, typed: str, words: list[str], options: dict[str, Any]
) -> None:
    run(group, ["box", *typed.split()])
    nothing = {"cwd": None, "stack_name": None, "yes": False, "force": False, "count": 3, "targets": None}
    assert calls == [(tuple(words), {**nothing, "secret": False, **options})]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("bag", "there is no command 'bag' here"),
        ("--stack lab box", "there is no command '--stack' here"),
        ("box bag", "there is no command 'bag' here"),
        ("box put", "KEY is missing"),
        ("box put --yes", "KEY is missing"),
        ("box put a b c d", "unexpected: c d"),
        ("box put a --count x", "argument --count/-n: invalid int value: 'x'"),
        ("box put a --count", "argument --count/-n: expected one argument"),
        ("box put a --forc", "unrecognized arguments: --forc"),
        ("box --forc", "unrecognized arguments: --forc"),
    ],
)
def test_what_is_not_taken_is_named_and_runs_nothing(
    group: Group, calls: Calls, capsys: pytest.CaptureFixture[str], typed: str, says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(group, typed.split())
    assert ended.value.code == 2
    assert f"python -m lab.engine: error: {says}" in capsys.readouterr().err
    assert calls == []


def test_the_environment_says_what_is_not_typed(
    group: Group, calls: Calls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOX_COUNT", "7")
    monkeypatch.setenv("BOX_FORCE", "True")
    run(group, ["box", "all"])
    run(group, ["box", "all", "-n", "8"])
    monkeypatch.setenv("BOX_COUNT", "")
    monkeypatch.setenv("BOX_FORCE", "0")
    run(group, ["box", "all"])
    assert [(options["count"], options["force"]) for _, options in calls] == [
        (7, True),
        (8, True),
        (3, False),
    ]
    monkeypatch.setenv("BOX_FORCE", "perhaps")
    with pytest.raises(SystemExit):
        run(group, ["box", "all"])
    assert "BOX_FORCE is 'perhaps', but must be true or false" in capsys.readouterr().err
    monkeypatch.delenv("BOX_FORCE")
    monkeypatch.setenv("BOX_COUNT", "many")
    with pytest.raises(SystemExit):
        run(group, ["box", "all"])
    assert "invalid int value: 'many'" in capsys.readouterr().err


def test_a_group_has_an_overview_and_refuses_options_before_a_command(group: Group, calls: Calls) -> None:
    run(group, ["box"])
    run(group, ["box", "--stack", "put"])
    assert [options["stack_name"] for _, options in calls] == [None, "put"]
    with pytest.raises(CommandError, match=r"^write --stack and --cwd after `box put`$"):
        run(group, ["box", "--stack", "lab", "put", "a"])


def test_help_lists_commands_and_options_but_hidden_ones(
    group: Group, capsys: pytest.CaptureFixture[str]
) -> None:
    for typed, code in (("", 2), ("--help", 0), ("box -h", 0), ("box put a --help", 0)):
        with pytest.raises(SystemExit) as ended:
            run(group, typed.split())
        assert ended.value.code == code
    printed = capsys.readouterr()
    assert "\n  box  A box." in printed.err
    assert "\n  put  Put something somewhere." in printed.out
    assert "\n  rm " not in printed.out
    assert "--stack NAME" in printed.out
    assert "usage: python -m lab.engine box put KEY [VALUE] [options]" in printed.out
    assert "(environment: BOX_COUNT)" in printed.out
    assert "--secret" not in printed.out


def test_commands_that_take_no_options_of_a_run_start_without_what_takes_long(tmp_path: Path) -> None:
    costly = ("typer", "click", "pydantic", "rich", "asyncssh", "pulumi", "grpc", "hcloud", "requests")
    code = "import sys; from lab.engine.cli.main import main\n"
    code += "assert main(['stack', 'output']) == 0\n"
    code += f"print(sorted(name for name in sys.modules if name.partition('.')[0] in {costly}))"
    project = Project(tmp_path / "box")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project.folder, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(REPOSITORY), **project.environment},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
