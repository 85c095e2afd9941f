"""A night with keys that are too old: what `look` finds, and the pull request that asks for other keys.

The steps run as the workflow has them, beside an engine that prints a state and a preview.
"""

import base64
import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.github.workflow import TOKEN_OF_A_ROBOT, TOKEN_OF_THE_JOB, GitHub, JobRun, push
from tests.system.github import checkout
from tests.unit.cli.stack import changed, exported, generations
from tests.unit.review.previews import preview_of, step_of
from tools.ci.runner import ACCESS

OLD: Final = {"nodes": {"web-1": "2020-01-01", "db-1": "2020-02-01"}, "preshared": "2020-01-01"}
OUT: Final = {"enabled": False}  # nobody is asked
FILE: Final = "stacks/Pulumi.prod.yaml"
STACK: Final = """\
# Our mesh.
config:
  wireguard-mesh:mesh:
    cidr: 10.30.0.0/24
    rotation: {maxAge: 90d}   # as the auditors say
    nodes:
      web-1: {address: 10.30.0.1}
      db-1: {address: 10.30.0.11, generation: 4}
      db-2: {address: 10.30.0.12}
    clients:
      laptop: {address: 10.30.0.200, to: [web-1]}
"""
BRANCH: Final = "mesh/rotate-prod"
SHOWN: Final = "shown-if-a-step-leaks-it"
_ENGINE: Final = """\
import json, sys
words = sys.argv[1:]
found = json.load(open({file!r}))
print(json.dumps(found["state" if "export" in words else "preview" if "preview" in words else "outputs"]))
"""


@dataclass(frozen=True)
class Night:
    """A repository, its checkout, and the engine in there."""

    github: GitHub
    folder: Path

    def state(self, *resources: dict[str, Any], steps: Any = (), **more: Any) -> None:
        """Say what the engine answers: the state, and what a preview would do."""
        mesh = yaml.safe_load(STACK)["config"]["wireguard-mesh:mesh"]
        preview = json.loads(preview_of(mesh, mesh))
        preview["steps"] += steps
        kept = resources or [generations(maxAge=90, dates={**OLD, **more})]
        found = {
            "state": exported(*kept),
            "preview": preview,
            "outputs": changed(web_1=OUT, db_1=OUT),
        }
        (self.folder / "engine.json").write_text(json.dumps(found))

    def look(self) -> JobRun:
        file, inputs, called = self.github.call("mesh-nightly.yml", "stack", push(), **PROD)
        return called.run(file, "drift", push(), inputs=inputs)

    def rotates(self, looked: JobRun) -> bool:
        file, inputs, called = self.github.call("mesh-nightly.yml", "stack", push(), **PROD)
        return called.runs(file, "rotate", push(), inputs=inputs, needs=_needs(looked))

    def rotate(self, looked: JobRun) -> JobRun:
        """Run the job in a checkout of its own, as GitHub does."""
        (self.folder / "checkout" / FILE).write_text(STACK)
        file, inputs, called = self.github.call("mesh-nightly.yml", "stack", push(), **PROD)
        return called.run(file, "rotate", push(), inputs=inputs, needs=_needs(looked))


PROD: Final = {"matrix": {"stack": "prod"}}


def _needs(looked: JobRun) -> dict[str, Any]:
    return {"drift": {"outputs": looked.outputs}}


@pytest.fixture
def night(tmp_path: Path) -> Night:
    made = checkout(tmp_path)
    (made / FILE).write_text(STACK)
    (tmp_path / "engine.py").write_text(_ENGINE.format(file=str(tmp_path / "engine.json")))

    def execute(words: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            words, cwd=made, env=environment, check=False, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    night = Night(
        github=GitHub(
            tmp_path / "github",
            execute,
            {"MESH_STACKS": '["prod"]', "MESH_ROTATE": "true"},
            {"prod-preview": dict.fromkeys(ACCESS, SHOWN), "prod": dict.fromkeys(ACCESS, SHOWN)},
            {"WGMESH_PULUMI": f"{sys.executable} {tmp_path / 'engine.py'}"},
        ),
        folder=tmp_path,
    )
    night.state()
    return night


def _stack_file(github: GitHub) -> str:
    (commit,) = github.state["commits"]
    assert (commit["path"], commit["branch"]) == (FILE, BRANCH)
    return base64.b64decode(commit["content"]).decode()


def test_old_keys_come_to_one_pull_request_that_raises_their_numbers_and_nothing_else(night: Night) -> None:
    looked = night.look()
    assert not looked.red, looked.out
    assert (
        "keys are older than 90 days (rotation.maxAge): identities of web-1 (made 2020-01-01)"
        in looked.summary
    )
    assert night.github.asked() == [], "old keys are no drift"
    assert night.rotates(looked)
    proposed = night.rotate(looked)
    assert not proposed.red, proposed.out
    assert _stack_file(night.github) == STACK.replace(
        "{maxAge: 90d}", "{maxAge: 90d, generation: 2, preshared: 2}"
    )
    (pull,) = night.github.state["pulls"]
    assert pull["title"] == "Rotate keys of prod: they are older than 90 days"
    assert (pull["head"], pull["base"]) == ({"ref": BRANCH}, {"ref": "main"})
    assert night.github.state["refs"] == {f"refs/heads/{BRANCH}": "d" * 40}
    assert "pre-shared keys (made 2020-01-01)" in pull["body"]
    assert "laptop: cut off as soon as the nodes have changed their keys" in pull["body"]
    assert pull["html_url"] in proposed.summary


def test_only_what_is_old_gets_another_number(night: Night) -> None:
    night.state(nodes={"web-1": "2999-01-01", "db-1": "2020-02-01"}, preshared="2999-01-01", ssh="2020-01-01")
    assert not night.rotate(night.look()).red
    assert _stack_file(night.github) == STACK.replace("generation: 4", "generation: 5").replace(
        "{maxAge: 90d}", "{maxAge: 90d, ssh: 2}"
    )


def test_while_a_pull_request_is_open_no_other_one_is_opened(night: Night) -> None:
    looked = night.look()
    night.rotate(looked)
    asked = night.github.asked()
    again = night.rotate(night.look())
    assert not again.red, again.out
    assert night.github.asked() == asked
    assert "https://github.example/101 is open" in again.out


def test_after_one_is_closed_the_next_one_begins_at_the_newest_commit(night: Night) -> None:
    night.rotate(night.look())
    state = night.github.state
    state["pulls"][0]["state"] = "closed"
    state["refs"] = {f"refs/heads/{BRANCH}": "0" * 40, f"refs/heads/{BRANCH}-2": "1" * 40}
    night.github.save(state)
    assert not night.rotate(night.look()).red
    assert [each["state"] for each in night.github.state["pulls"]] == ["closed", "open"]
    assert night.github.state["refs"] == {
        f"refs/heads/{BRANCH}": "d" * 40,
        f"refs/heads/{BRANCH}-2": "1" * 40,
    }
    assert "generation: 2" in _stack_file(night.github)


@pytest.mark.parametrize("name", ["generations", "rotation"])
def test_nothing_is_asked_for_while_keys_are_to_change_anyway(night: Night, name: str) -> None:
    """Between the merge and `up`, and until all nodes have their new keys."""
    urn = f"urn:pulumi:dev::wireguard-mesh::wireguard-mesh:index:Mesh$pulumi:index:Stash::{name}"
    steps = step_of(urn, "pulumi:index:Stash", "", {"input": {"mesh": 1}}, {"input": {"mesh": 2}})
    night.state(steps=[*steps])
    looked = night.look()
    assert not looked.red, looked.out
    assert "keys are older than 90 days" in looked.summary
    assert not night.rotates(looked)


def test_nothing_is_asked_for_where_no_key_is_too_old(night: Night) -> None:
    for kept in (generations(), generations(maxAge=90, dates={"nodes": {"web-1": "2999-01-01"}})):
        night.state(kept)
        looked = night.look()
        assert not looked.red, looked.out
        assert "## Keys" not in looked.summary
        assert looked.outputs == {"old": ""}
        assert not night.rotates(looked)


def test_a_look_that_fails_asks_for_nothing(night: Night) -> None:
    (night.folder / "engine.json").write_text("{}")
    looked = night.look()
    assert looked.red
    assert looked.outputs == {"old": None}
    assert not night.rotates(looked)


def test_the_job_that_writes_gets_no_secret_of_the_stack_and_a_token_of_yours_if_there_is_one(
    night: Night,
) -> None:
    looked = night.look()
    own = night.rotate(looked)
    assert SHOWN not in str(own.environments)
    assert own.environments["python3 -m tools.ci rotate"]["GH_TOKEN"] == TOKEN_OF_THE_JOB
    secrets = {**night.github.secrets, "mesh-rotate": {"MESH_ROTATE_TOKEN": TOKEN_OF_A_ROBOT}}
    robot = replace(night, github=replace(night.github, secrets=secrets, temp=night.folder / "other"))
    given = robot.rotate(looked)
    assert not given.red, given.out
    assert given.environments["python3 -m tools.ci rotate"]["GH_TOKEN"] == TOKEN_OF_A_ROBOT
    assert len(robot.github.state["pulls"]) == 1
    assert TOKEN_OF_A_ROBOT not in given.out + given.summary + json.dumps(robot.github.state["requests"])


def test_a_stack_file_that_cannot_be_edited_leaves_the_repository_as_it_is(night: Night) -> None:
    night.state(nodes={"gone-1": "2020-01-01", "web-1": "2999-01-01"}, preshared="2999-01-01")
    run = night.rotate(night.look())
    assert run.red
    assert f"{FILE}: `mesh rotate` failed: " in run.out
    assert "gone-1" in run.out
    assert night.github.asked() == []
