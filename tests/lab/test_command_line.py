"""The words of `python -m lab`: its own come first, all others are the engine's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import __main__ as command_line
from lab.rehearsal import Rehearsal
from lab.testing import REPOSITORY


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Rehearsal, list[str]]]:
    """What an engine is told, of which stack; none runs."""
    calls: list[tuple[Rehearsal, list[str]]] = []

    def run(rehearsal: Rehearsal, words: list[str], *, in_place: bool) -> int:
        assert in_place
        calls.append((rehearsal, [*words]))
        return 0

    monkeypatch.setattr(Rehearsal, "run", run)
    for name in ("PULUMI_STACK", "ENGINE"):
        monkeypatch.delenv(name, raising=False)
    return calls


def _type(*words: str) -> None:
    assert command_line._run([*words]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["up", "--yes", "--skip-preview"],
        ["config", "set", "name", "--", "-value"],
        ["preview", "--help"],
        ["-h"],
        ["up", "--project", "elsewhere"],
        ["start"],
    ],
)
def test_what_stands_behind_run_is_the_engines(
    told: list[tuple[Rehearsal, list[str]]], words: list[str]
) -> None:
    _type("--project", "/", "--stack", "prod", "run", *words)
    assert told == [(Rehearsal(project=Path("/"), stack="prod", engine="lab"), words)]


def test_stack_and_engine_are_what_is_typed_else_the_environments(
    told: list[tuple[Rehearsal, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _type("run", "stack")
    monkeypatch.setenv("PULUMI_STACK", "stage")
    monkeypatch.setenv("ENGINE", "pulumi")
    _type("run", "stack")
    _type("--stack", "prod", "--engine", "lab", "run", "stack")
    found = [(rehearsal.stack, rehearsal.engine) for rehearsal, _ in told]
    assert found == [("lab", "lab"), ("stage", "pulumi"), ("prod", "lab")]


def test_other_commands_take_no_words_and_an_unknown_one_is_named() -> None:
    for words, says in (
        (("down", "now"), "`down` takes nothing more, but was given now"),
        (("dwn",), "'dwn'"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "lab", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert says in done.stderr


def test_it_starts_without_a_parser_that_imports_more_than_all_the_rest() -> None:
    """It starts for each command of the engine, and before it."""
    costly = ("typer", "pydantic", "rich", "asyncssh", "cryptography", "pulumi", "grpc")
    loaded = "import lab.__main__ as lab, sys; lab._parser(); "
    loaded += f"print([name for name in sys.modules if name.startswith({costly})])"
    done = subprocess.run(
        [sys.executable, "-c", loaded],
        cwd=REPOSITORY,
        env={**os.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
