"""What GitHub tells a step: the repository, the event, and where a step leaves its results."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["ACCESS", "CiError", "Runner", "runner"]

ACCESS: Final = (
    "PULUMI_BACKEND_URL",
    "PULUMI_ACCESS_TOKEN",
    "PULUMI_CONFIG_PASSPHRASE",
    "HCLOUD_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)
"""The secrets of a stack, by the names of their environment variables. docs/github.md describes each."""

_DEPENDABOT: Final = "dependabot[bot]"


class CiError(Exception):
    """A step cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Runner:
    """The run this step belongs to. `stack` is the stack's name; `temp` a folder for files between steps."""

    stack: str
    temp: Path
    event: dict[str, Any]

    @property
    def repository(self) -> str:
        """The repository, as OWNER/NAME."""
        return os.environ["GITHUB_REPOSITORY"]

    @property
    def url(self) -> str:
        """The address of this run's page."""
        return (
            f"{os.environ['GITHUB_SERVER_URL']}/{self.repository}/actions/runs/{os.environ['GITHUB_RUN_ID']}"
        )

    @property
    def commit(self) -> str:
        """The commit of this run: the newest of a pull request, not the merge that GitHub tries."""
        request = self.event.get("pull_request")
        return str(request["head"]["sha"]) if request else os.environ["GITHUB_SHA"]

    @property
    def number(self) -> int:
        """The number of the pull request. Raises `CiError` in a run of another event."""
        request = self.event.get("pull_request")
        if not request:
            raise CiError("this step belongs to a pull request, but the event is another one")
        return int(request["number"])

    @property
    def access(self) -> bool:
        """Whether this run got the secret that says where the stack's state is."""
        return any(os.environ.get(name) for name in ACCESS[:2])

    @property
    def gets_no_secrets(self) -> bool:
        """Whether GitHub gives runs such as this one no secret: of a fork, or of Dependabot."""
        request = self.event.get("pull_request")
        if not request:
            return False
        head = request["head"]["repo"]
        fork = head is None or head["full_name"] != self.repository
        return fork or request["user"]["login"] == _DEPENDABOT

    def require_access(self, environment: str) -> None:
        """Raise `CiError` if the secrets of the stack are missing."""
        if not self.access:
            raise CiError(
                f"{self.stack}: no secret names the place of the stack's state. Add {ACCESS[0]} or "
                f"{ACCESS[1]} to the environment {environment} of this repository: see docs/github.md"
            )

    def keep(self, name: str, value: dict[str, Any]) -> None:
        """Keep something for a later step of the job."""
        self.temp.mkdir(parents=True, exist_ok=True)
        (self.temp / name).write_text(json.dumps(value))

    def kept(self, name: str) -> dict[str, Any] | None:
        """Return what an earlier step kept; None when that step did not come so far."""
        path = self.temp / name
        if not path.exists():
            return None
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def summarize(self, text: str) -> None:
        """Add Markdown to the summary on the run's page."""
        with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a") as summary:
            summary.write(f"{text}\n")

    def output(self, name: str, value: str) -> None:
        """Set an output of the step, of any lines."""
        end = secrets.token_hex(8)
        with Path(os.environ["GITHUB_OUTPUT"]).open("a") as outputs:
            outputs.write(f"{name}<<{end}\n{value}\n{end}\n")


def runner() -> Runner:
    """Read the environment of this step."""
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text())
    request = event.get("pull_request")
    stack = os.environ.get("MESH_STACK") or (f"pr-{request['number']}" if request else "")
    return Runner(stack=stack, temp=Path(os.environ["RUNNER_TEMP"]) / f"mesh-{stack}", event=event)
