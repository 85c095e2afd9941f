"""The workflows for GitHub on real hosts: a pull request, its merge, and nights with and without drift."""

import json
import subprocess
import sys

import pytest

from tests.github.workflow import GitHub, JobRun, event, push
from tests.system.world import World, shown

pytestmark = [pytest.mark.hosts, pytest.mark.long]

LAB = {"matrix": {"stack": "lab"}}
NODES = ("web-1", "web-2", "db-1")


def _hosted(world: World) -> GitHub:
    def execute(words: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            words, cwd=world.folder, env=environment, check=False, timeout=500, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    # The rehearsal has its own place for the state, and the passphrase of its stack file.
    secrets = {"PULUMI_BACKEND_URL": "file://elsewhere", "PULUMI_CONFIG_PASSPHRASE": "rehearsal"}
    return GitHub(
        temp=world.folder / "github",
        execute=execute,
        variables={"MESH_STACKS": '["lab"]'},
        secrets={"lab": secrets, "lab-preview": secrets},
        everywhere={"WGMESH_PULUMI": f"{sys.executable} -m lab run"},
    )


def _nightly(github: GitHub) -> JobRun:
    file, inputs, called = github.call("mesh-nightly.yml", "stack", push(), **LAB)
    return called.run(file, "drift", push(), inputs=inputs)


def test_from_a_pull_request_to_the_repair_of_drift(world: World) -> None:
    world.bring()
    github = _hosted(world)
    runs = [_nightly(github)]
    assert github.asked() == [], runs[0].out

    world.edit_mesh(lambda mesh: mesh["nodes"].update({"web-3": {"address": "10.10.0.3"}}))
    runs.append(github.run("mesh-preview.yml", "preview", event(), **LAB))
    (comment,) = github.comments()
    assert "web-3" in comment
    github.save(github.state | {"pulls": [{"number": 7, "merge_commit_sha": "d" * 40, "state": "closed"}]})
    file, inputs, called = github.call("mesh-up.yml", "stack", push(), inputs={}, **LAB)
    plan = called.run(file, "plan", push(), inputs=inputs)
    assert "This plan is the one that was reviewed in #7." in plan.summary
    up = called.run(file, "up", push(), inputs=inputs, needs={"plan": {"outputs": plan.outputs}})
    assert "all 4 nodes match the stack" in up.summary, up.out
    assert world.reach().code == 0

    world.on("web-2", "ip link set wg0 mtu 1300")
    runs += [plan, up, _nightly(github)]
    (issue,) = github.state["issues"]
    assert "web-2: " in issue["body"]
    assert "1300" in issue["body"]
    assert world.command(sys.executable, "-m", "mesh", "check", "--repair").code == 0
    runs.append(_nightly(github))
    assert github.state["issues"][0]["state"] == "closed"

    assert not any(run.red for run in runs), [run.out for run in runs if run.red]
    published = json.dumps(github.state["requests"]) + "".join(run.out + run.summary for run in runs)
    assert shown(published, world.secrets((*NODES, "web-3"))) == []
