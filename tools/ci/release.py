"""`up` on merge: the plan of the main branch, whether it was reviewed, and the run after the approval."""

import os
from typing import Any, Final

from tools.ci.engine import mesh, watched
from tools.ci.github import comments, everything
from tools.ci.pull_request import PREVIEW
from tools.ci.reviews import PreviewError, Review, digest_in, review
from tools.ci.runner import CiError, Runner
from tools.ci.texts import cut, fenced, marker, short

__all__ = ["plan", "reviewed", "up"]

_FILE: Final = "plan.json"
_TAIL_LINES: Final = 40
_AGAIN: Final = "Run all jobs of the newest run of this workflow again, and approve the new plan"


def plan(run: Runner) -> int:
    """Preview the main branch. Outputs: `changes` (true or false), `digest`."""
    run.require_access(f"{run.stack}-preview")
    found = _review_or_tell(run, f"## {run.stack}: the plan of {short(run.commit)} failed")
    if found is None:
        return 1
    run.output("changes", "true" if found.changes else "false")
    run.output("digest", found.digest)
    run.keep(_FILE, {"text": found.text, "digest": found.digest, "changes": found.changes})
    return 0


def reviewed(run: Runner) -> int:
    """Write the plan to the summary, and whether it is the one that was reviewed in the pull request."""
    left = run.kept(_FILE)
    if left is None:
        return 0
    title = f"## {run.stack}: the plan of {short(run.commit)}"
    if not left["changes"]:
        run.summarize(f"{title}\n\nNothing changes. `up` does not run.")
        return 0
    run.summarize(f"{title}\n\n{_verdict(run, left['digest'])}\n\n{left['text']}")
    return 0


def _verdict(run: Runner, digest: str) -> str:
    """Compare with the last preview in the pull request of this commit."""
    try:
        found = _last_preview(run)
    except CiError as error:
        return f"**Compare this plan with the pull request yourself:** {error}"
    if found is None:
        return (
            "**Not reviewed:** no pull request of this commit has a preview of this stack. "
            "Read this plan before you approve."
        )
    number, body = found
    if digest_in(body) == digest:
        return f"This plan is the one that was reviewed in #{number}."
    return (
        f"**Not the plan that was reviewed in #{number}:** the stack or another change came in between. "
        "Read this plan before you approve."
    )


def _last_preview(run: Runner) -> tuple[int, str] | None:
    requests: list[dict[str, Any]] = everything(f"repos/{run.repository}/commits/{run.commit}/pulls")
    for request in requests:
        found = comments(run.repository, request["number"], marker(PREVIEW, run.stack))
        if found:
            return request["number"], found[0]["body"]
    return None


def up(run: Runner, digest: str) -> int:
    """Run `up` if the plan is still the approved one, then `mesh check`. Raises `CiError`."""
    run.require_access(run.stack)
    found = _review_or_tell(run, f"## {run.stack}: `up` of {short(run.commit)} did not begin")
    if found is None:
        return 1
    if found.digest != digest:
        run.summarize(
            f"## {run.stack}: `up` did not begin, because the plan has changed since the approval\n\n"
            f"Nothing was changed. {_AGAIN}.\n\n{found.text}"
        )
        raise CiError(
            f"{run.stack}: the plan has changed since the approval, so nothing was changed. {_AGAIN}"
        )
    ran = watched("up", "--yes", "--skip-preview", *_refresh(), stack=run.stack)
    end = "\n".join(ran.out.splitlines()[-_TAIL_LINES:])
    word = "done" if ran.code == 0 else "**failed**"
    run.summarize(f"## {run.stack}: `up` of {short(run.commit)}: {word}\n\n{fenced(end)}")
    return ran.code or _check(run)


def _refresh() -> list[str]:
    """Return the engine's option to look at the cloud first, if the run was started with this wish."""
    return ["--refresh"] if os.environ.get("MESH_REFRESH") == "true" else []


def _check(run: Runner) -> int:
    ran = mesh("check", "--stack", run.stack)
    run.summarize(fenced(ran.out + ran.said))
    print(cut(ran.out))
    return ran.code


def _review_or_tell(run: Runner, title: str) -> Review | None:
    try:
        return review(run.stack, run.temp, *_refresh())
    except PreviewError as error:
        run.summarize(f"{title}\n\n{fenced(str(error))}")
        print(f"::error title={run.stack}::the preview failed: its errors are in the summary")
        print(error)
        return None
