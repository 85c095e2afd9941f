"""The nightly look at nodes, cloud and keys, and the issue that tells of differences."""

import hashlib
import json
from typing import Any, Final

from tools.ci.engine import mesh
from tools.ci.github import DRIFT_LABEL, api, drift_issue
from tools.ci.redact import redacted
from tools.ci.reviews import PreviewError, digest_in, digest_mark, review
from tools.ci.runner import CiError, Runner
from tools.ci.texts import cut, fenced, marker, short

__all__ = ["look", "report"]

_FILE: Final = "drift.json"
_DRIFT: Final = "drift"
_PART_BYTES: Final = 28_000
"""The longest of each of the two parts of an issue, which has the same limit as a comment."""
_OTHER: Final = "The differences have changed ([run]({url})). The description above shows the new ones."


def look(run: Runner) -> int:
    """Compare nodes and cloud with the stack; keep the differences for `report`. Raises `CiError`.

    The output `old` has the keys that are too old, for `rotate`; nothing while keys are to change anyway.
    """
    run.require_access(f"{run.stack}-preview")
    checked = _checked(run)
    nodes, old = _nodes(checked), checked["old_keys"]
    try:
        cloud = review(run.stack, run.temp, "--refresh", limit=_PART_BYTES)
    except PreviewError as error:
        raise CiError(f"{run.stack}: the preview with refresh failed:\n{error}") from None
    parts = []
    if nodes:
        parts.append(f"## Nodes: `mesh check`\n\n{fenced(cut(nodes, _PART_BYTES))}")
    if cloud.changes:
        parts.append(
            "## Cloud and stack file: `up --refresh` would do this\n\n"
            "Somebody changed the cloud by hand, or the main branch has a change that was not applied.\n\n"
            f"{cloud.text}"
        )
    found = "\n\n".join(parts)
    run.keep(_FILE, {"found": found})
    told = f"\n\n## Keys\n\n{fenced(old['told'])}" if old else ""
    run.summarize(
        f"## {run.stack} at {short(run.commit)}\n\n{found or 'Nodes and cloud match the stack.'}{told}"
    )
    run.output("old", json.dumps(old) if old and not cloud.rotates else "")
    return 0


def _checked(run: Runner) -> dict[str, Any]:
    """Return what `mesh check` found. Raises `CiError`."""
    ran = mesh("check", "--json", "--stack", run.stack)
    try:
        found: dict[str, Any] = json.loads(ran.out)
    except ValueError:
        found = {}
    if not isinstance(found, dict) or not {"nodes", "old_keys"} <= found.keys():
        raise CiError(f"{run.stack}: `mesh check` failed: {redacted(ran.said or ran.out).strip()}")
    return found


def _nodes(checked: dict[str, Any]) -> str:
    """Return a line for each difference and each node that could not be asked."""
    return "\n".join(line for name, node in sorted(checked["nodes"].items()) for line in _lines(name, node))


def _lines(name: str, node: dict[str, Any]) -> list[str]:
    told = [f"{name}: {node['problem']}"] if node["problem"] else []
    return told + [
        f"{name}: {each['item']}\n    is:        {each['live']}\n    should be: {each['wanted']}"
        for each in node["differences"]
    ]


def report(run: Runner) -> int:
    """Open the issue, update or close the one that is open. Raises `CiError`."""
    left = run.kept(_FILE)
    if left is None:
        raise CiError(f"{run.stack}: there is no comparison; see the step before. The issue stays as it is")
    issue = drift_issue(run.repository, marker(_DRIFT, run.stack))
    if left["found"]:
        url = _open_or_update(run, issue, left["found"])
        print(f"::warning title={run.stack}::nodes or cloud differ from the stack: {url}")
    elif issue is not None:
        _say(run, issue, f"Nodes and cloud match the stack again ([run]({run.url})).")
        api("PATCH", f"repos/{run.repository}/issues/{issue['number']}", {"state": "closed"})
    return 0


def _open_or_update(run: Runner, issue: dict[str, Any] | None, found: str) -> str:
    """Return the address of the issue. A comment notifies people when the differences are others."""
    digest = hashlib.sha256(found.encode()).hexdigest()
    body = (
        f"{marker(_DRIFT, run.stack)}\n"
        f"The nodes or the cloud differ from the stack {run.stack}, at {short(run.commit)} "
        f"([last look]({run.url})). "
        f"`mesh check --stack {run.stack} --repair` repairs nodes. The workflow `mesh up`, started by hand "
        "with `refresh`, repairs the cloud. "
        "This issue is updated every night, and closed when nothing differs.\n\n"
        f"{found}\n\n{digest_mark(digest)}"
    )
    if issue is None:
        new = {"title": f"Drift: {run.stack} differs from its stack", "body": body, "labels": [DRIFT_LABEL]}
        return str(api("POST", f"repos/{run.repository}/issues", new)["html_url"])
    api("PATCH", f"repos/{run.repository}/issues/{issue['number']}", {"body": body})
    if digest_in(issue["body"]) != digest:
        _say(run, issue, _OTHER.format(url=run.url))
    return str(issue["html_url"])


def _say(run: Runner, issue: dict[str, Any], text: str) -> None:
    api("POST", f"repos/{run.repository}/issues/{issue['number']}/comments", {"body": text})
