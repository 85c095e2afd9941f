"""`mesh validate` as typed, and as pre-commit runs it."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mesh.__main__ import app

ROOT = Path(__file__).parents[3]
WRONG = Path(__file__).parent / "wrong"
RUN = CliRunner()


def test_valid_files_have_one_line_each_and_exit_code_0() -> None:
    files = sorted(map(str, (ROOT / "stacks").glob("Pulumi.*.yaml")))
    run = RUN.invoke(app, ["validate", *files])
    assert run.exit_code == 0
    assert [line.partition(": ")[0] for line in run.stdout.splitlines()] == files


def test_all_mistakes_of_all_files_are_told_at_once_and_the_exit_code_is_1() -> None:
    run = RUN.invoke(
        app, ["validate", str(WRONG / "five-mistakes.yaml"), str(ROOT / "stacks" / "Pulumi.lab.yaml")]
    )
    assert run.exit_code == 1
    places = [line.split(": ")[0].rpartition("/")[2] for line in run.stdout.splitlines()]
    assert places == [
        "five-mistakes.yaml:9:52",
        "five-mistakes.yaml:10:7",
        "five-mistakes.yaml:11:23",
        "five-mistakes.yaml:11:35",
        "five-mistakes.yaml:12:23",
        "Pulumi.lab.yaml",
    ]


def test_json_is_one_document() -> None:
    run = RUN.invoke(
        app, ["validate", "--json", str(WRONG / "mtu-9000.yaml"), str(WRONG / "octal-port.yaml")]
    )
    assert run.exit_code == 1
    wrong, right = json.loads(run.stdout)["files"]
    assert (wrong["valid"], right["valid"]) == (False, True)
    assert right["warnings"][0]["path"] == "mesh.port"


@pytest.mark.parametrize("variable", ["PULUMI_CONFIG", "PULUMI_HOME", "PATH"])
def test_neither_engine_nor_state_is_needed(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "/nonexistent")
    assert RUN.invoke(app, ["validate", str(ROOT / "stacks" / "Pulumi.lab.yaml")]).exit_code == 0


def test_the_hook_for_pre_commit_names_the_command_and_stack_files_alone() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert hook["entry"].split()[0] in scripts
    assert hook["entry"].split()[1] in {command.name for command in app.registered_commands}
    files = re.compile(hook["files"])
    assert files.search("stacks/Pulumi.prod.yaml")
    assert files.search("Pulumi.pr-123.yml")
    assert not files.search("Pulumi.yaml")
    assert not files.search("stacks/schema.json")
    assert not files.search("docs/Pulumi.prod.yaml.md")
