"""The workflows: no secret for a fork, no permission too many, nothing that the linters refuse."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.github.expressions import condition
from tests.github.workflow import FOLDER, GitHub, event, push, workflow
from tools.ci.__main__ import COMMANDS
from tools.ci.runner import ACCESS

ROOT: Final = FOLDER.parents[1]
MESH: Final = sorted(path.name for path in FOLDER.glob("mesh-*.yml"))
ALL: Final = sorted(path.name for path in FOLDER.glob("*.yml"))
JOBS: Final = [(name, job) for name in MESH for job in workflow(name)["jobs"]]
STEPS: Final = [(name, job) for name, job in JOBS if "steps" in workflow(name)["jobs"][job]]
LABEL: Final = ("mesh-cluster",)
TOKEN: Final = "MESH_ROTATE_TOKEN"
"""A token for GitHub that a repository may give in place of the job's own."""
PERMISSIONS: Final = {
    ("mesh-preview.yml", "fork"): {"contents": "read"},
    ("mesh-preview.yml", "preview"): {"contents": "read", "pull-requests": "write"},
    ("mesh-up.yml", "stack"): {"contents": "read", "pull-requests": "read"},
    ("mesh-up-stack.yml", "plan"): {"contents": "read", "pull-requests": "read"},
    ("mesh-up-stack.yml", "up"): {"contents": "read"},
    ("mesh-nightly.yml", "stack"): {"contents": "write", "issues": "write", "pull-requests": "write"},
    ("mesh-nightly-stack.yml", "drift"): {"contents": "read", "issues": "write"},
    ("mesh-nightly-stack.yml", "rotate"): {"contents": "write", "pull-requests": "write"},
    ("mesh-cluster.yml", "make"): {"contents": "read", "pull-requests": "write"},
    ("mesh-cluster.yml", "destroy"): {"contents": "read", "pull-requests": "write"},
    ("mesh-cluster.yml", "sweep"): {"contents": "read", "pull-requests": "read"},
}


def _job(name: str, job: str) -> dict[str, Any]:
    found: dict[str, Any] = workflow(name)["jobs"][job]
    return found


def _secrets_in(value: Any) -> set[str]:
    """Return the secrets of a stack that a part of a workflow names."""
    return set(re.findall(r"\bsecrets\.(\w+)", str(value))) - {TOKEN}


@pytest.fixture
def github(tmp_path: Path) -> GitHub:
    """The repository; its secrets are no secrets, so that a step which has them shows them."""

    def execute(words: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            words, cwd=ROOT, env=environment, check=False, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    secrets = {name: dict.fromkeys(ACCESS, "shown") for name in ("prod", "prod-preview", "pr")}
    variables = {"MESH_STACKS": '["staging", "prod"]', "MESH_CLUSTERS": "yes"}
    return GitHub(tmp_path, execute, variables, secrets)


# -- linters


def test_actionlint_finds_nothing() -> None:
    command = shutil.which("actionlint", path=f"{ROOT}/.lab/bin:{os.environ['PATH']}")
    if command is None:
        pytest.skip(
            "actionlint is not here: `GOBIN=$PWD/.lab/bin go install "
            "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12` installs it"
        )
    ran = subprocess.run([command], cwd=ROOT, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_zizmor_finds_nothing() -> None:
    command = [f"{Path(sys.executable).parent}/zizmor", "--offline", "--no-progress", "-q", str(FOLDER)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_files_are_workflows() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    paths = [str(path) for path in FOLDER.glob("*.yml")]
    ran = subprocess.run([*command, *paths], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


# -- permissions and secrets


@pytest.mark.parametrize(("name", "job"), JOBS)
def test_a_job_has_the_permissions_that_it_needs(name: str, job: str) -> None:
    assert workflow(name)["permissions"] == {}
    assert _job(name, job)["permissions"] == PERMISSIONS[name, job]


def test_no_run_of_untrusted_code_is_given_rights_by_its_event() -> None:
    for name in ALL:
        events = workflow(name)["on"]
        assert "pull_request_target" not in events
        assert "workflow_run" not in events
        assert "issue_comment" not in events


@pytest.mark.parametrize(("name", "job"), STEPS)
def test_a_step_has_secrets_or_the_token_but_not_both(name: str, job: str) -> None:
    assert not _secrets_in(_job(name, job).get("env"))
    for step in _job(name, job)["steps"]:
        given = step.get("env") or {}
        if "uses" in step:
            assert not given
            assert step["with"]["persist-credentials"] is False
            continue
        assert "${{" not in step["run"], "what comes from outside reaches a script by the environment"
        assert not ("GH_TOKEN" in given and _secrets_in(given))
        assert TOKEN not in str({name: value for name, value in given.items() if name != "GH_TOKEN"})
        if _secrets_in(given):
            assert _secrets_in(given) == set(ACCESS)
            assert _job(name, job)["environment"]


@pytest.mark.parametrize(("name", "job"), STEPS)
def test_a_step_runs_what_there_is(name: str, job: str) -> None:
    for step in _job(name, job)["steps"]:
        if "run" in step:
            script = re.fullmatch(r"python3 -m tools\.ci ([a-z-]+)", step["run"])
            assert step["run"] == "tools/ci/setup.sh" or (script and script[1] in COMMANDS)


FORKS = [
    event(head="stranger/meshes"),
    event("opened", head="stranger/meshes", labels=LABEL),
    event("labeled", head="stranger/meshes", labels=LABEL, label=LABEL[0]),
    event("closed", head="stranger/meshes", labels=LABEL),
    event("unlabeled", head="stranger/meshes", label=LABEL[0]),
    event(head=""),
]


@pytest.mark.parametrize("payload", FORKS, ids=lambda each: each["action"])
def test_the_run_of_a_fork_gets_no_secret(github: GitHub, payload: dict[str, Any]) -> None:
    run_jobs = [(name, job) for name, job in STEPS if job != "up" and github.runs(name, job, payload)]
    # These have no condition of their own: their callers run on the main branch alone.
    called = {("mesh-up-stack.yml", "plan"), ("mesh-nightly-stack.yml", "drift")}
    assert set(run_jobs) - called == {("mesh-preview.yml", "fork")}
    for name in ("mesh-up", "mesh-nightly"):
        assert "pull_request" not in workflow(f"{name}.yml")["on"]
        assert list(workflow(f"{name}-stack.yml")["on"]) == ["workflow_call"]
    fork = _job("mesh-preview.yml", "fork")
    assert not _secrets_in(fork)
    assert "environment" not in fork


def test_the_run_of_a_fork_says_why_there_is_no_preview(github: GitHub) -> None:
    ran = github.run("mesh-preview.yml", "fork", FORKS[0])
    assert not ran.red, ran.out
    assert "comes from a fork or from Dependabot" in ran.summary
    assert "This is no error." in ran.out
    assert "shown" not in str(ran.environments)
    assert github.asked() == []


def test_the_run_of_dependabot_says_why_there_is_no_preview(github: GitHub) -> None:
    """It runs in this repository's own branches, but GitHub gives it no secret."""
    without = GitHub(github.temp, github.execute, github.variables, {}, {"WGMESH_PULUMI": "none"})
    ran = without.run(
        "mesh-preview.yml", "preview", event(author="dependabot[bot]"), matrix={"stack": "prod"}
    )
    assert not ran.red, ran.out
    assert "comes from a fork or from Dependabot" in ran.summary
    assert without.asked() == []


def test_missing_secrets_of_ones_own_are_an_error_with_a_remedy(github: GitHub) -> None:
    without = GitHub(github.temp, github.execute, github.variables, {}, {"WGMESH_PULUMI": "none"})
    file, inputs, called = without.call("mesh-nightly.yml", "stack", push(), matrix={"stack": "prod"})
    ran = called.run(file, "drift", push(), inputs=inputs)
    assert ran.red
    assert "Add PULUMI_BACKEND_URL or PULUMI_ACCESS_TOKEN to the environment prod-preview" in ran.out
    assert without.asked() == []


# -- when what runs


def test_nothing_runs_until_it_is_switched_on(github: GitHub) -> None:
    off = GitHub(github.temp, github.execute, {}, {})
    requests = (event(), event("labeled", labels=LABEL, label=LABEL[0]), event("closed", labels=LABEL))
    for name, job in JOBS:
        events = workflow(name)["on"]
        started = [each for each in requests if "pull_request" in events and off.runs(name, job, each)]
        started += [push()] if {"push", "schedule"} & set(events) and off.runs(name, job, push()) else []
        assert started == [], (name, job)


def test_the_stacks_come_from_the_variable(github: GitHub) -> None:
    for name, job, payload in (
        ("mesh-preview.yml", "preview", event()),
        ("mesh-up.yml", "stack", push()),
        ("mesh-nightly.yml", "stack", push()),
    ):
        assert github.runs(name, job, payload)
        assert github.stacks(name, job, payload) == ["staging", "prod"]


@pytest.mark.parametrize(
    ("payload", "job"),
    [
        (event("labeled", labels=LABEL, label=LABEL[0]), "make"),
        (event("labeled", labels=(*LABEL, "bug"), label="bug"), None),
        (event("synchronize", labels=LABEL), "make"),
        (event("synchronize"), None),
        (event("unlabeled", label=LABEL[0]), "destroy"),
        (event("unlabeled", labels=LABEL, label="bug"), None),
        (event("closed", labels=LABEL), "destroy"),
        (event("closed"), None),
        (push(), "sweep"),
    ],
)
def test_the_label_decides_about_the_cluster(
    github: GitHub, payload: dict[str, Any], job: str | None
) -> None:
    jobs = workflow("mesh-cluster.yml")["jobs"]
    assert [each for each in jobs if github.runs("mesh-cluster.yml", each, payload)] == ([job] if job else [])


def test_up_comes_after_an_approval_and_one_at_a_time(github: GitHub) -> None:
    file, inputs, _ = github.call("mesh-up.yml", "stack", push(), matrix={"stack": "prod"})
    assert inputs == {"stack": "prod", "runner": "ubuntu-24.04", "refresh": False}
    up = _job(file, "up")
    assert up["environment"] == "${{ inputs.stack }}", "the environment's rules ask for the approval"
    assert up["needs"] == "plan"
    assert up["concurrency"] == {"group": "mesh-up-${{ inputs.stack }}", "cancel-in-progress": False}
    assert _job(file, "plan")["environment"] != up["environment"]
    assert "cancel-in-progress" not in str(workflow("mesh-up.yml"))
    status = {"success": True, "failure": False, "cancelled": False, "always": True}
    for changes, runs in (("true", True), ("false", False), ("", False)):
        needs = {"plan": {"outputs": {"changes": changes}}}
        assert condition(up["if"], {"needs": needs, "status": status}) is runs


def test_only_a_job_without_secrets_of_a_stack_writes_to_the_repository() -> None:
    writing = [(name, job) for name, job in STEPS if PERMISSIONS[name, job].get("contents") == "write"]
    assert writing == [("mesh-nightly-stack.yml", "rotate")]
    job = _job(*writing[0])
    assert not _secrets_in(job)
    assert job["environment"] == "mesh-rotate", "an environment of a stack would have its secrets"


@pytest.mark.parametrize(
    ("variables", "old", "runs"),
    [
        ({"MESH_ROTATE": "true"}, "{}", True),
        ({"MESH_ROTATE": "true"}, "", False),
        ({"MESH_ROTATE": "false"}, "{}", False),
        ({"MESH_ROTATE": "yes"}, "{}", False),
        ({}, "{}", False),
    ],
)
def test_other_keys_are_asked_for_only_where_somebody_switched_that_on(
    github: GitHub, variables: dict[str, str], old: str, *, runs: bool
) -> None:
    switched = replace(github, variables={**github.variables, **variables})
    file, inputs, called = switched.call("mesh-nightly.yml", "stack", push(), matrix={"stack": "prod"})
    needs = {"drift": {"outputs": {"old": old}}}
    assert called.runs(file, "rotate", push(), inputs=inputs, needs=needs) is runs


# -- the setup


def test_setup_installs_the_engine_only_if_its_sum_is_right(tmp_path: Path) -> None:
    version = re.findall(r"^version=(\S+)$", (ROOT / "tools" / "ci" / "setup.sh").read_text(), re.MULTILINE)[
        0
    ]
    machine = {"x86_64": "x64", "aarch64": "arm64"}[os.uname().machine]
    release = tmp_path / "releases" / f"v{version}"
    (release / "pulumi").mkdir(parents=True)
    (release / "pulumi" / "pulumi").write_text("#!/bin/sh\n")
    archive = f"pulumi-v{version}-linux-{machine}.tar.gz"
    subprocess.run(["tar", "-C", release, "-czf", release / archive, "pulumi"], check=True)
    sums = subprocess.run(
        ["sha512sum", archive], cwd=release, check=True, capture_output=True, text=True
    ).stdout
    path = tmp_path / "path"
    environment = {
        "PATH": os.environ["PATH"], "RUNNER_TEMP": str(tmp_path), "GITHUB_PATH": str(path),
        "PULUMI_RELEASES": f"file://{tmp_path}/releases",
    }  # fmt: skip

    def setup() -> int:
        script = ROOT / "tools" / "ci" / "setup.sh"
        return subprocess.run([script], env=environment, check=False, capture_output=True).returncode

    (release / "SHA512SUMS").write_text(f"{'0' * 128}  other\n{sums}")
    assert setup() == 0
    assert (Path(path.read_text().strip()) / "pulumi").exists()
    path.write_text("")
    for wrong in (f"{'0' * 128}  {archive}\n", f"{'0' * 128}  other\n"):
        (release / "SHA512SUMS").write_text(wrong)
        assert setup() != 0
        assert path.read_text() == ""
