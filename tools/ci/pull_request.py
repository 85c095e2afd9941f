"""The preview of a pull request, and its comment."""

from typing import Any, Final

from tools.ci.github import comment, comments
from tools.ci.reviews import PreviewError, digest_mark, review
from tools.ci.runner import CiError, Runner
from tools.ci.texts import fenced, marker, short

__all__ = ["FILE", "PREVIEW", "preview", "tell"]

FILE: Final = "comment.json"
"""Where the preview leaves the comment for the step that posts it."""
PREVIEW: Final = "preview"
_NO_SECRETS: Final = """\
## No preview

This pull request comes from a fork or from Dependabot. GitHub gives such runs no secret. So this run cannot \
read the state of a stack, and has nothing to show. This is no error.

For a preview, somebody with write access reads the commits, pushes them to a branch of {repository}, and \
opens a pull request from that branch. See docs/github.md."""
_NOTHING: Final = "Nothing changes."


def preview(run: Runner) -> int:
    """Preview the stack with this pull request merged; leave the comment and write the summary."""
    if not run.access and run.gets_no_secrets:
        text = _NO_SECRETS.format(repository=run.repository)
        run.keep(FILE, {"body": None})
        run.summarize(text)
        print(text)
        return 0
    run.require_access(f"{run.stack}-preview")
    try:
        found = review(run.stack, run.temp)
    except PreviewError as error:
        _leave(run, "the preview failed", f"{fenced(str(error))}", quiet=False)
        print(f"::error title={run.stack}::the preview failed: its errors are in the summary and the comment")
        print(error)
        return 1
    title = "what `up` would do" if found.changes else "nothing to do"
    text = found.text if found.changes else _NOTHING
    _leave(run, title, f"{text}\n\n{digest_mark(found.digest)}", quiet=not found.changes)
    return 0


def _leave(run: Runner, title: str, text: str, *, quiet: bool) -> None:
    """Keep the comment for the next step; a quiet one only updates a comment that is there."""
    about = f"Preview of {short(run.commit)}, merged into its target branch ([run]({run.url}))."
    body = f"## {run.stack}: {title}\n\n{about}\n\n{text}"
    run.summarize(body)
    run.keep(FILE, {"body": f"{marker(PREVIEW, run.stack)}\n{body}", "quiet": quiet})


def tell(run: Runner) -> int:
    """Write the comment, or update the one of an earlier commit."""
    left = run.kept(FILE) or _not_run(run)
    if left["body"] is None:
        print("no comment: this run has no secrets")
        return 0
    first_line = str(left["body"]).partition("\n")[0]
    if left["quiet"] and not comments(run.repository, run.number, first_line):
        print("no comment: nothing changes, and no earlier commit of this pull request changed anything")
        return 0
    print(comment(run.repository, run.number, left["body"]))
    return 0


def _not_run(run: Runner) -> dict[str, Any]:
    """Say that the preview of this commit is missing: the comment must not go on showing an older one."""
    if run.gets_no_secrets:
        raise CiError("the step before did not run; see its log")
    title = f"## {run.stack}: no preview of {short(run.commit)}"
    text = f"The run ended before the preview: see [its log]({run.url})."
    return {"body": f"{marker(PREVIEW, run.stack)}\n{title}\n\n{text}", "quiet": False}
