"""The workflows for GitHub, step by step as their files say, beside a cloud and hosts that are not there."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lab.cloud.store import Store
from tests.github.workflow import GitHub, JobRun, event, push
from tests.system.github import PASSPHRASE, checkout, engine, hosted, plaintexts, write_stack
from tests.system.simulated import TOKEN, Simulated, simulated

pytestmark = pytest.mark.hosts

MESH = {
    "cidr": "10.30.0.0/24",
    "nodes": {"web-1": {"address": "10.30.0.1", "public": ["tcp/80"]}, "db-1": {"address": "10.30.0.11"}},
}
MORE = {**MESH, "nodes": {**MESH["nodes"], "web-2": {"address": "10.30.0.2"}}}  # type: ignore[dict-item]
PROD = {"matrix": {"stack": "prod"}}
LABEL = ("mesh-cluster",)
KINDS = ("servers", "primary_ips", "firewalls", "placement_groups", "ssh_keys")


@dataclass(frozen=True)
class Site:
    """The stack prod, made by the workflows. `made` are the jobs that made it."""

    cloud: Simulated
    folder: Path
    checkout: Path
    made: tuple[GitHub, list[JobRun]]

    def file(self, mesh: Any) -> None:
        write_stack(self.checkout, "prod", mesh)

    def github(self, name: str) -> GitHub:
        """A repository on GitHub where nothing was written yet."""
        github = hosted(
            self.cloud, self.checkout, {"MESH_STACKS": '["prod"]', "MESH_CLUSTERS": "yes"},
            "prod", "prod-preview", "pr",
        )  # fmt: skip
        return replace(github, temp=self.folder / f"github-{name}")

    def secrets(self) -> list[str]:
        """Every secret of the stack, in plain."""
        return [TOKEN, PASSPHRASE, *plaintexts(self.made[0], "prod")]


def _plan(github: GitHub, commit: str, **wishes: Any) -> JobRun:
    file, inputs, called = github.call("mesh-up.yml", "stack", push(commit), inputs=wishes, **PROD)
    return called.run(file, "plan", push(commit), inputs=inputs)


def _up(github: GitHub, commit: str, plan: JobRun, **wishes: Any) -> JobRun:
    file, inputs, called = github.call("mesh-up.yml", "stack", push(commit), inputs=wishes, **PROD)
    return called.run(file, "up", push(commit), inputs=inputs, needs={"plan": {"outputs": plan.outputs}})


def _preview(github: GitHub, **about: Any) -> JobRun:
    return github.run("mesh-preview.yml", "preview", event(**about), **PROD)


def _published(github: GitHub, *runs: JobRun) -> str:
    """Everything that others can read: requests to GitHub, logs, summaries, outputs."""
    return json.dumps(github.state["requests"]) + "".join(
        f"{run.out}\n{run.summary}\n{run.outputs}\n" for run in runs
    )


def _shown(secrets: list[str], text: str) -> list[str]:
    """Return the secrets that a text holds, as they are or as JSON writes them."""
    return [secret for secret in secrets if secret in text or json.dumps(secret)[1:-1] in text]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with simulated(folder / "cloud") as cloud:
        made = checkout(folder / "run")
        write_stack(made, "prod", MESH)
        site = Site(cloud, folder, made, (None, []))  # type: ignore[arg-type]
        github = site.github("made")
        engine(github, "stack", "init", "prod")
        preview = _preview(github)
        state = github.state
        state["pulls"] = [{"number": 7, "merge_commit_sha": "a" * 40, "state": "closed", "labels": []}]
        github.save(state)
        plan = _plan(github, "a" * 40)
        yield replace(site, made=(github, [preview, plan, _up(github, "a" * 40, plan)]))


@pytest.fixture(autouse=True)
def _the_file_as_it_was(site: Site) -> Iterator[None]:
    yield
    site.file(MESH)


def test_what_was_reviewed_is_approved_and_made(site: Site) -> None:
    github, runs = site.made
    preview, plan, up = runs
    assert [run.red for run in runs] == [False, False, False], [run.out for run in runs]
    (comment,) = github.comments()
    assert "## prod: what `up` would do" in comment
    assert "web-1" in comment
    assert "c" * 12 in comment
    assert preview.summary.strip() in comment
    assert "This plan is the one that was reviewed in #7." in plan.summary
    assert plan.outputs["changes"] == "true"
    assert "`up` of aaaaaaaaaaaa: done" in up.summary
    assert "all 2 nodes match the stack" in up.summary


def test_nothing_that_others_can_read_holds_a_secret(site: Site) -> None:
    github, runs = site.made
    secrets = site.secrets()
    assert len(secrets) > 8, "token, passphrase, keys of two nodes, and more"
    assert any("PRIVATE KEY" in secret for secret in secrets)
    assert _shown(secrets, _published(github, *runs)) == []


@pytest.mark.long
def test_a_plan_without_changes_asks_for_no_approval(site: Site) -> None:
    github = site.github("same")
    plan = _plan(github, "b" * 40)
    assert not plan.red, plan.out
    assert "Nothing changes. `up` does not run." in plan.summary
    file, inputs, called = github.call("mesh-up.yml", "stack", push(), **PROD)
    needs = {"plan": {"outputs": plan.outputs}}
    assert not called.runs(file, "up", push(), inputs=inputs, needs=needs)
    assert not _preview(github).red
    assert github.asked() == [], "a pull request that changes nothing gets no comment"


def test_every_push_updates_one_comment(site: Site) -> None:
    github = site.github("pushes")
    state = github.state
    spoofed = {
        "id": 1,
        "user": {"type": "User"},
        "body": "<!-- wireguard-mesh: preview of prod -->\nall is well",
    }
    github.save(state | {"comments": {"7": [spoofed]}})
    site.file(MORE)
    assert not _preview(github, commit="1" * 40).red
    site.file({**MORE, "nodes": {**MORE["nodes"], "web-3": {"address": "10.30.0.3"}}})  # type: ignore[dict-item]
    assert not _preview(github, commit="2" * 40).red
    theirs, ours = github.comments()
    assert theirs == spoofed["body"]
    assert "2" * 12 in ours
    assert "1" * 12 not in ours
    assert "web-3" in ours
    assert [each.partition(" ")[0] for each in github.asked()] == ["POST", "PATCH"]


@pytest.mark.long
def test_a_push_that_takes_the_change_back_says_so(site: Site) -> None:
    github = site.github("back")
    site.file(MORE)
    assert not _preview(github, commit="1" * 40).red
    site.file(MESH)
    assert not _preview(github, commit="3" * 40).red
    (comment,) = github.comments()
    assert "Nothing changes." in comment
    assert "web-2" not in comment


def test_a_preview_that_fails_tells_its_errors_without_secrets(site: Site) -> None:
    github = site.github("fails")
    site.file({**MESH, "nodes": {"web-1": {"address": "10.30.0.1", "location": PASSPHRASE}}})
    run = _preview(github, commit="4" * 40)
    assert run.red
    (comment,) = github.comments()
    assert "## prod: the preview failed" in comment
    assert "mesh.nodes.web-1.location: the cloud has no location ***" in comment
    assert PASSPHRASE not in _published(github, run)
    site.file(MORE)
    assert not _preview(github, commit="5" * 40).red
    (comment,) = github.comments()
    assert "failed" not in comment
    assert "5" * 12 in comment


@pytest.mark.long
def test_a_job_that_ends_before_its_preview_does_not_leave_an_old_one(site: Site) -> None:
    github = site.github("early")
    site.file(MORE)
    _preview(github, commit="1" * 40)
    broken = replace(github, everywhere={"WGMESH_PULUMI": "", "PULUMI_RELEASES": "file:///nowhere"})
    run = _preview(broken, commit="2" * 40)
    assert run.red
    (comment,) = github.comments()
    assert "no preview of 222222222222" in comment
    assert "web-2" not in comment


@pytest.mark.long
def test_a_plan_that_nobody_saw_is_not_applied(site: Site) -> None:
    github = site.github("other")
    site.file(MORE)
    _preview(github)
    state = github.state
    github.save(
        state | {"pulls": [{"number": 7, "merge_commit_sha": "e" * 40, "state": "closed", "labels": []}]}
    )
    site.file({**MORE, "mtu": 1380})
    plan = _plan(github, "e" * 40)
    assert "**Not the plan that was reviewed in #7:**" in plan.summary
    site.file(MORE)
    before = engine(github, "stack", "export", "--stack", "prod")
    up = _up(github, "e" * 40, plan)
    assert up.red
    assert "the plan has changed since the approval, so nothing was changed" in up.out
    assert "web-2" in up.summary
    assert engine(github, "stack", "export", "--stack", "prod") == before


def _nightly(github: GitHub) -> JobRun:
    file, inputs, called = github.call("mesh-nightly.yml", "stack", push(), **PROD)
    return called.run(file, "drift", push(), inputs=inputs)


@pytest.fixture
def drift(site: Site) -> Iterator[Callable[[str], None]]:
    """Change a node by hand: write what its agent finds."""
    (node,) = (
        folder for folder in (site.folder / "cloud" / "hosts").iterdir() if folder.name == _address(site)
    )
    file = node / "drift"

    def change(text: str) -> None:
        file.write_text(text)

    yield change
    file.unlink(missing_ok=True)


def _address(site: Site) -> str:
    outputs = json.loads(engine(site.made[0], "stack", "output", "--json", "--stack", "prod"))
    return str(outputs["nodes"]["db-1"]["public_ip"])


def test_drift_opens_an_issue_and_its_end_closes_the_issue(site: Site, drift: Callable[[str], None]) -> None:
    github = site.github("nightly")
    drift("MTU of wg0\t1300\t1420\n")
    runs = [_nightly(github)]
    (issue,) = github.state["issues"]
    assert issue["title"] == "Drift: prod differs from its stack"
    assert "db-1: MTU of wg0\n    is:        1300\n    should be: 1420" in issue["body"]
    drift("")
    runs.append(_nightly(github))
    (issue,) = github.state["issues"]
    assert issue["state"] == "closed"
    assert "match the stack again" in github.comments(issue["number"])[-1]
    assert not any(run.red for run in runs), [run.out for run in runs]
    assert _shown(site.secrets(), _published(github, *runs)) == []


@pytest.mark.long
def test_an_issue_notifies_people_of_other_differences_alone(
    site: Site, drift: Callable[[str], None]
) -> None:
    github = site.github("nights")
    assert not _nightly(github).red
    assert github.asked() == [], "without drift there is no issue"
    drift("MTU of wg0\t1300\t1420\n")
    _nightly(github)
    _nightly(github)
    (issue,) = github.state["issues"]
    assert github.comments(issue["number"]) == [], "the same difference notifies nobody again"
    drift("MTU of wg0\t1200\t1420\n")
    _nightly(github)
    (issue,) = github.state["issues"]
    assert "1200" in issue["body"]
    assert "The differences have changed" in github.comments(issue["number"])[-1]


@pytest.mark.long
def test_a_change_of_the_cloud_by_hand_opens_an_issue(site: Site) -> None:
    github = site.github("cloud")
    script = f"""
from hcloud import Client
client = Client("{TOKEN}", api_endpoint="{site.cloud.endpoint}")
client.servers.get_by_name("prod-db-1").update(labels={{}})
"""
    done = github.execute([".venv/bin/python", "-c", script], {"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stdout
    run = _nightly(github)
    assert not run.red, run.out
    (issue,) = github.state["issues"]
    assert "Cloud and stack file: `up --refresh` would do this" in issue["body"]
    plan = _plan(github, "f" * 40, refresh=True)
    up = _up(github, "f" * 40, plan, refresh=True)
    assert not up.red, up.out
    assert not _nightly(github).red
    assert github.state["issues"][0]["state"] == "closed"


@pytest.mark.long
def test_a_night_without_a_comparison_is_red_and_leaves_the_issue(site: Site) -> None:
    github = site.github("broken")
    site.file({**MESH, "cidr": "nonsense"})
    run = _nightly(github)
    assert run.red
    assert "mesh.cidr" in run.out
    assert github.asked() == []


@pytest.mark.long
def test_a_pull_request_has_a_cluster_as_long_as_it_wants_one(site: Site) -> None:
    github = site.github("cluster")
    labeled = event("labeled", label=LABEL[0], labels=LABEL)
    made = github.run("mesh-cluster.yml", "make", labeled)
    assert not made.red, made.out
    (site.checkout / "stacks" / "Pulumi.pr-7.yaml").unlink()  # the next run is on another machine
    assert github.runs("mesh-cluster.yml", "make", event(labels=LABEL))
    (comment,) = github.comments()
    assert "| web-1 | 198.18." in comment
    closed = event("closed", labels=LABEL)
    assert not github.runs("mesh-cluster.yml", "make", closed)
    destroyed = github.run("mesh-cluster.yml", "destroy", closed)
    assert not destroyed.red, destroyed.out
    (comment,) = github.comments()
    assert "the cluster is destroyed" in comment
    assert "pr-7" not in engine(github, "stack", "ls", "--json")
    assert "prod" in engine(github, "stack", "ls", "--json")
    cloud = Store(site.folder / "cloud" / "cloud.json")
    named = [each["name"] for kind in KINDS for each in cloud.all(kind)]
    assert named
    assert [name for name in named if name.startswith("pr-7")] == []
    text = _published(github, made, destroyed)
    assert "PRIVATE KEY" not in text
    assert TOKEN not in text


@pytest.mark.long
def test_clusters_of_closed_pull_requests_are_destroyed_at_night(site: Site) -> None:
    github = site.github("sweep")
    for number in (8, 9):
        wanted = event("labeled", number=number, label=LABEL[0], labels=LABEL)
        assert not github.run("mesh-cluster.yml", "make", wanted).red
        (site.checkout / "stacks" / f"Pulumi.pr-{number}.yaml").unlink()
    still = {"number": 9, "state": "open", "labels": [{"name": LABEL[0]}], "merge_commit_sha": ""}
    github.save(github.state | {"pulls": [still, {**still, "number": 8, "state": "closed"}]})
    run = github.run("mesh-cluster.yml", "sweep", push())
    assert not run.red, run.out
    assert "pr-8" in run.summary
    names = {each["name"] for each in json.loads(engine(github, "stack", "ls", "--json"))}
    assert names == {"prod", "pr-9"}
    github.save(github.state | {"pulls": []})
    assert not github.run("mesh-cluster.yml", "sweep", push()).red
