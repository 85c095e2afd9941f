"""A job of a workflow file, run step by step as GitHub does: by `bash -e`, with expressions and files."""

import json
import os
import re
import subprocess
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from lab.testing import REPOSITORY
from tests.github.expressions import condition, filled

__all__ = [
    "FOLDER",
    "TOKEN_OF_A_ROBOT",
    "TOKEN_OF_THE_JOB",
    "GitHub",
    "JobRun",
    "Secrets",
    "event",
    "push",
    "workflow",
]

FOLDER: Final = REPOSITORY / ".github" / "workflows"
_GH: Final = Path(__file__).with_name("gh.py")
_REPOSITORY: Final = "some/meshes"
TOKEN_OF_THE_JOB: Final = "token-of-the-job"
TOKEN_OF_A_ROBOT: Final = "token-of-a-robot"

Secrets = Mapping[str, Mapping[str, str]]
"""The secrets of each environment, by name."""


@cache
def workflow(name: str) -> dict[str, Any]:
    """Read a workflow file, which nobody may change afterwards."""
    found = yaml.safe_load((FOLDER / name).read_text())
    # YAML 1.1 reads `on` as true.
    return {"on" if key is True else key: value for key, value in found.items()}


def event(
    action: str = "synchronize", *, number: int = 7, commit: str = "c" * 40, head: str = _REPOSITORY,
    labels: tuple[str, ...] = (), label: str = "", author: str = "ada",
) -> dict[str, Any]:  # fmt: skip
    """What GitHub says of a pull request."""
    request = {
        "number": number,
        "head": {"sha": commit, "repo": {"full_name": head}},
        "user": {"login": author},
        "labels": [{"name": each} for each in labels],
    }
    return {
        "action": action,
        "pull_request": request,
        "label": {"name": label},
        "repository": {"default_branch": "main"},
    }


def push(commit: str = "d" * 40) -> dict[str, Any]:
    """What GitHub says of a push to the main branch."""
    return {"after": commit, "repository": {"default_branch": "main"}}


@dataclass
class JobRun:
    """What came of a job: `red` if it failed; all that it printed; its summary and outputs."""

    red: bool = False
    out: str = ""
    summary: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each step, by its command: what the step got beside what all steps have."""


@dataclass(frozen=True)
class GitHub:
    """A repository on GitHub, its variables and secrets. `execute` runs a command in the checkout.

    `temp` is for files of runs. `everywhere` is the environment that the runner gives all steps.
    """

    temp: Path
    execute: Callable[[list[str], dict[str, str]], "subprocess.CompletedProcess[str]"]
    variables: Mapping[str, str]
    secrets: Secrets
    everywhere: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.temp / "bin").mkdir(parents=True, exist_ok=True)
        if not self.file.exists():
            (self.temp / "bin" / "gh").symlink_to(_GH)
            lists = ("issues", "pulls", "requests", "commits")
            mappings = ("comments", "permissions", "refs")
            self.save({"last": 100, **{key: [] for key in lists}, **{key: {} for key in mappings}})

    @property
    def file(self) -> Path:
        return self.temp / "github.json"

    @property
    def state(self) -> Any:
        return json.loads(self.file.read_text())

    def save(self, state: Any) -> None:
        self.file.write_text(json.dumps(state))

    def comments(self, number: int = 7) -> list[str]:
        return [each["body"] for each in self.state["comments"].get(str(number), [])]

    def asked(self) -> list[str]:
        """What was asked of GitHub that changes something: method and path."""
        words = [each["words"] for each in self.state["requests"]]
        return [f"{each[2]} {each[3]}" for each in words if each[2] != "GET"]

    def forked(self) -> "GitHub":
        """The same repository for the run of a fork, which gets neither secrets nor variables."""
        return replace(self, variables={}, secrets={})

    def contexts(self, payload: dict[str, Any], **more: Any) -> dict[str, Any]:
        """What an expression may name."""
        name = "pull_request" if "pull_request" in payload else "push"
        github = {
            "event": payload, "event_name": name, "sha": payload.get("after", "0" * 40),
            "repository": _REPOSITORY, "token": TOKEN_OF_THE_JOB,
            "ref": "refs/pull/7/merge" if name == "pull_request" else "refs/heads/main",
        }  # fmt: skip
        status = {"success": True, "failure": False, "cancelled": False, "always": True}
        return {"github": github, "vars": self.variables, "status": status, "steps": {}, **more}

    def runs(self, file: str, job: str, payload: dict[str, Any], **more: Any) -> bool:
        """Whether a job's condition holds."""
        return condition(workflow(file)["jobs"][job].get("if"), self.contexts(payload, **more))

    def stacks(self, file: str, job: str, payload: dict[str, Any]) -> list[str]:
        """The stacks of a job's matrix."""
        written = workflow(file)["jobs"][job]["strategy"]["matrix"]["stack"]
        found: list[str] = filled(written, self.contexts(payload))
        return found

    def run(self, file: str, job: str, payload: dict[str, Any], **more: Any) -> JobRun:
        """Run a job to its end. The condition of the job must hold."""
        described = workflow(file)["jobs"][job]
        contexts = self.contexts(payload, **more)
        assert condition(described.get("if"), contexts), f"{file}: the job {job} does not run"
        contexts["secrets"] = self.secrets.get(filled(described.get("environment"), contexts), {})
        self._grant(described.get("permissions") or {})
        temp = self.temp / f"job-{uuid.uuid4().hex}"
        temp.mkdir()
        (temp / "event.json").write_text(json.dumps(payload))
        ran = JobRun()
        path = [str(self.temp / "bin"), os.environ["PATH"]]
        for step in described["steps"]:
            if "run" in step and condition(step.get("if"), contexts):
                given = _given(described, step, contexts)
                ran.environments[step["run"].strip()] = given
                self._step(step, given, contexts, temp, ran, path)
        for name, written in (described.get("outputs") or {}).items():
            ran.outputs[name] = filled(written, contexts)
        return ran

    def _grant(self, permissions: Mapping[str, str]) -> None:
        self.save(self.state | {"permissions": dict(permissions)})

    def _step(
        self, step: Mapping[str, Any], given: Mapping[str, str], contexts: dict[str, Any], temp: Path,
        ran: JobRun, path: list[str],
    ) -> None:  # fmt: skip
        files = {name: temp / f"{name}-{uuid.uuid4().hex}" for name in ("summary", "output", "path")}
        for file in files.values():
            file.touch()
        (temp / "script").write_text(step["run"])
        environment = {
            "PATH": ":".join(path), "HOME": str(temp), "LANG": "C.UTF-8", "FAKE_GITHUB": str(self.file),
            "GITHUB_REPOSITORY": _REPOSITORY, "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_RUN_ID": "4711", "GITHUB_SHA": contexts["github"]["sha"],
            "GITHUB_REF_NAME": contexts["github"]["ref"].split("/", 2)[2],
            "GITHUB_EVENT_PATH": str(temp / "event.json"), "GITHUB_STEP_SUMMARY": str(files["summary"]),
            "GITHUB_OUTPUT": str(files["output"]),
            "GITHUB_PATH": str(files["path"]), "RUNNER_TEMP": str(temp), **self.everywhere, **given,
        }  # fmt: skip
        done = self.execute(["bash", "-e", str(temp / "script")], environment)
        ran.out += done.stdout
        ran.summary += files["summary"].read_text()
        path[:0] = files["path"].read_text().split()
        if "id" in step:
            contexts["steps"][step["id"]] = {"outputs": _outputs(files["output"].read_text())}
        if done.returncode != 0:
            ran.red = True
            contexts["status"].update(success=False, failure=True)

    def call(
        self, file: str, job: str, payload: dict[str, Any], **more: Any
    ) -> tuple[str, dict[str, Any], "GitHub"]:
        """Return what a job calls: the workflow, its inputs, and the repository as the workflow sees it."""
        described = workflow(file)["jobs"][job]
        contexts = self.contexts(payload, **{"inputs": {}, **more})
        assert condition(described.get("if"), contexts)
        inputs = {name: filled(value, contexts) for name, value in described["with"].items()}
        passed = {
            environment: {name: value for name, value in values.items() if name in described["secrets"]}
            for environment, values in self.secrets.items()
        }
        return Path(described["uses"]).name, inputs, replace(self, secrets=passed)


def _given(job: Mapping[str, Any], step: Mapping[str, Any], contexts: dict[str, Any]) -> dict[str, str]:
    """Return what a step gets beside what all steps have."""
    return {
        name: _text(filled(value, contexts))
        for part in (job.get("env") or {}, step.get("env") or {})
        for name, value in part.items()
    }


def _text(value: Any) -> str:
    """Return a value as the environment of a step has it."""
    return str(value).lower() if isinstance(value, bool) else str("" if value is None else value)


def _outputs(text: str) -> dict[str, str]:
    return {
        found[1]: found[3]
        for found in re.finditer(r"^(\w+)<<(\w+)\n(.*?)\n\2$", text, re.MULTILINE | re.DOTALL)
    }
