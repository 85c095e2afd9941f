"""The pull request that asks for other keys where keys are too old: at most one open for each stack."""

import base64
import json
import os
from pathlib import Path
from typing import Any, Final

from tools.ci.engine import mesh
from tools.ci.github import api, everything
from tools.ci.redact import redacted
from tools.ci.runner import CiError, Runner
from tools.ci.texts import fenced, marker

__all__ = ["propose"]

_ROTATION: Final = "rotation"
_BODY: Final = """\
Keys of the stack {stack} are too old ([last look]({url})). This pull request raises their numbers in \
`{file}`: the next `up` makes other keys. Connections between nodes go on. See docs/rotation.md.

{told}

`mesh rotate` says:

{remarks}

While this pull request is open, the nightly look opens no other one for this stack."""


def propose(run: Runner) -> int:
    """Raise the numbers of the old keys on a branch, and open a pull request from there. Raises `CiError`.

    The environment variable MESH_OLD has what `look` found. Nothing happens while the last one is open.
    """
    old = json.loads(os.environ["MESH_OLD"])
    branch = f"mesh/rotate-{run.stack}"
    owner = run.repository.partition("/")[0]
    there = everything(f"repos/{run.repository}/pulls?state=open&head={owner}:{branch}")
    if there:
        print(f"nothing to do: {there[0]['html_url']} is open")
        return 0
    file = Path("stacks") / f"Pulumi.{run.stack}.yaml"
    remarks = _raise(file, old["rotate"])
    title = f"Rotate keys of {run.stack}: they are older than {old['max_age']} days"
    _commit(run, branch, file, title)
    text = _BODY.format(
        stack=run.stack, url=run.url, file=file, told=fenced(old["told"]), remarks=fenced(remarks)
    )
    body = f"{marker(_ROTATION, run.stack)}\n{text}"
    made = {"title": title, "head": branch, "base": os.environ["GITHUB_REF_NAME"], "body": body}
    url = api("POST", f"repos/{run.repository}/pulls", made)["html_url"]
    print(f"::notice title={run.stack}::keys are too old: {url}")
    run.summarize(f"## {run.stack}: keys are too old\n\n{url} asks for other keys.")
    return 0


def _raise(file: Path, rotations: list[list[str]]) -> str:
    """Edit the stack file in this checkout; return what the editor says. Raises `CiError`."""
    said = []
    for words in rotations:
        ran = mesh("rotate", *words, "--file", str(file))
        if ran.code != 0:
            raise CiError(f"{file}: `mesh rotate` failed: {redacted(ran.said or ran.out).strip()}")
        said.append(ran.said.strip())
    return "\n".join(said)


def _commit(run: Runner, branch: str, file: Path, message: str) -> None:
    """Commit the file of this checkout on a branch that begins at the commit of this run."""
    ref = f"heads/{branch}"
    found = everything(f"repos/{run.repository}/git/matching-refs/{ref}")
    if any(each["ref"] == f"refs/{ref}" for each in found):  # of a pull request that is closed
        api("DELETE", f"repos/{run.repository}/git/refs/{ref}")
    api("POST", f"repos/{run.repository}/git/refs", {"ref": f"refs/{ref}", "sha": run.commit})
    path = f"repos/{run.repository}/contents/{file.as_posix()}"
    before: dict[str, Any] = api("GET", f"{path}?ref={run.commit}")
    content = base64.b64encode(file.read_bytes()).decode()
    api("PUT", path, {"message": message, "content": content, "branch": branch, "sha": before["sha"]})
