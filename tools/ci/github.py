"""Comments and issues on GitHub, found again by their first line. Only `gh` talks to GitHub."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any, Final

from tools.ci.redact import redacted
from tools.ci.runner import CiError

__all__ = ["DRIFT_LABEL", "api", "comment", "comments", "drift_issue", "everything"]

DRIFT_LABEL: Final = "mesh-drift"


def api(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Send one request to GitHub's REST API and return the answer. Raises `CiError`."""
    return next(_values(_gh("api", "--method", method, path, *_input(body), stdin=body)), None)


def everything(path: str) -> list[dict[str, Any]]:
    """Return all entries of a list in GitHub's REST API, of every page. Raises `CiError`."""
    separator = "&" if "?" in path else "?"
    out = _gh("api", "--method", "GET", "--paginate", f"{path}{separator}per_page=100", stdin=None)
    return [entry for page in _values(out) for entry in page]


def comments(repository: str, number: int, first_line: str) -> list[dict[str, Any]]:
    """Return the comments of workflows that begin with this line, on an issue or a pull request."""
    found = everything(f"repos/{repository}/issues/{number}/comments")
    return [each for each in found if _ours(each, first_line)]


def comment(repository: str, number: int, body: str) -> str:
    """Write a comment, or update the one that has the same first line; returns the address of the comment."""
    earlier = comments(repository, number, body.partition("\n")[0])
    if not earlier:
        made = api("POST", f"repos/{repository}/issues/{number}/comments", {"body": body})
    else:
        made = api("PATCH", f"repos/{repository}/issues/comments/{earlier[0]['id']}", {"body": body})
    return str(made["html_url"])


def drift_issue(repository: str, first_line: str) -> dict[str, Any] | None:
    """Return the open issue on drift that begins with this line."""
    found = everything(f"repos/{repository}/issues?state=open&labels={DRIFT_LABEL}")
    return next((each for each in found if _ours(each, first_line) and "pull_request" not in each), None)


def _ours(entry: dict[str, Any], first_line: str) -> bool:
    """Whether a workflow wrote it. Somebody else can write the same first line."""
    return entry["user"]["type"] == "Bot" and (entry["body"] or "").startswith(first_line)


def _input(body: dict[str, Any] | None) -> list[str]:
    return [] if body is None else ["--input", "-"]


def _gh(*words: str, stdin: dict[str, Any] | None) -> str:
    ran = subprocess.run(
        ["gh", *words], check=False, text=True, capture_output=True,
        input="" if stdin is None else json.dumps(stdin),
    )  # fmt: skip
    if ran.returncode != 0:
        raise CiError(
            f"GitHub refused `gh {' '.join(words[:4])}`: {redacted(ran.stderr).strip()}. "
            "docs/github.md lists the permissions of each job"
        )
    return ran.stdout


def _values(text: str) -> Iterator[Any]:
    """Return the JSON values of a text: older versions of gh print a list for each page."""
    decoder, position = json.JSONDecoder(), 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        value, position = decoder.raw_decode(text, position)
        yield value
