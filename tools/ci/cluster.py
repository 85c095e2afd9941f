"""A cluster for one pull request: the stack `pr-NUMBER`, made from stacks/Pulumi.pr.example.yaml."""

import json
import re
import shutil
from pathlib import Path
from typing import Final

from tools.ci.engine import engine, watched
from tools.ci.github import comment, everything
from tools.ci.redact import redacted
from tools.ci.runner import CiError, Runner
from tools.ci.texts import fenced, marker, short

__all__ = ["LABEL", "destroy", "find_left", "make", "sweep", "tell"]

LABEL: Final = "mesh-cluster"
"""The label of a pull request that wants a cluster."""
_FILE: Final = "cluster.json"
_CLUSTER: Final = "cluster"
_EXAMPLE: Final = Path("stacks/Pulumi.pr.example.yaml")
_STACK: Final = re.compile(r"pr-(\d+)")
_TAIL_LINES: Final = 40
_UNTIL: Final = f"The cluster is destroyed when this pull request is closed or loses the label `{LABEL}`."


def make(run: Runner) -> int:
    """Run `up` of the pull request's stack, and make the stack first if there is none. Raises `CiError`."""
    run.require_access("pr")
    file = _EXAMPLE.with_name(f"Pulumi.{run.stack}.yaml")
    if not file.exists():
        shutil.copy(_EXAMPLE, file)
    selected = engine("stack", "select", "--create", run.stack, stack=None)
    if selected.code != 0:
        raise CiError(
            f"{run.stack}: could not make the stack: {redacted(selected.said or selected.out).strip()}"
        )
    ran = watched("up", "--yes", "--skip-preview", stack=run.stack)
    if ran.code != 0:
        end = "\n".join(ran.out.splitlines()[-_TAIL_LINES:])
        _leave(run, f"`up` of {short(run.commit)} failed", fenced(end))
        return ran.code
    _leave(run, f"the cluster has {short(run.commit)}", f"{_nodes(run)}\n\n{_UNTIL}")
    return 0


def destroy(run: Runner) -> int:
    """Destroy the pull request's stack and all that belongs to it, if there is one. Raises `CiError`."""
    run.require_access("pr")
    if run.stack not in _stacks():
        print(f"there is no stack {run.stack}")
        return 0
    code = _destroyed(run.stack)
    text = "" if code == 0 else f"The workflow tries again every night. See [the log]({run.url})."
    _leave(run, "the cluster is destroyed" if code == 0 else "**could not destroy the cluster**", text)
    return code


def tell(run: Runner) -> int:
    """Write the comment of the step before, or update the one of an earlier run."""
    left = run.kept(_FILE)
    if left is not None:
        print(comment(run.repository, run.number, left["body"]))
    return 0


def find_left(run: Runner) -> int:
    """Note the pull requests that are open and want a cluster; every other cluster is left over."""
    requests = everything(f"repos/{run.repository}/pulls?state=open")
    wanted = [each["number"] for each in requests if any(label["name"] == LABEL for label in each["labels"])]
    run.keep(_FILE, {"wanted": wanted})
    return 0


def sweep(run: Runner) -> int:
    """Destroy the stacks of pull requests that are closed or have lost the label. Raises `CiError`."""
    run.require_access("pr")
    left = run.kept(_FILE)
    if left is None:
        raise CiError("the step before did not list the pull requests; see its log")
    found = {stack: _STACK.fullmatch(stack) for stack in _stacks()}
    surplus = sorted(stack for stack, name in found.items() if name and int(name[1]) not in left["wanted"])
    failed = [stack for stack in surplus if _destroyed(stack) != 0]
    run.summarize(f"Clusters of no open pull request: {', '.join(surplus) or 'none'}.")
    if failed:
        raise CiError(f"could not destroy {', '.join(failed)}: see above")
    return 0


def _destroyed(stack: str) -> int:
    # Without a refresh the provider fails at a server that somebody deleted by hand.
    return watched("destroy", "--yes", "--skip-preview", "--refresh", "--remove", stack=stack).code


def _stacks() -> list[str]:
    ran = engine("stack", "ls", "--json", stack=None)
    if ran.code != 0:
        raise CiError(f"could not list the stacks: {redacted(ran.said or ran.out).strip()}")
    return [str(each["name"]).rpartition("/")[2] for each in json.loads(ran.out)]


def _nodes(run: Runner) -> str:
    ran = engine("stack", "output", "--json", stack=run.stack)
    if ran.code != 0:
        raise CiError(f"{run.stack}: could not read the outputs: {redacted(ran.said).strip()}")
    nodes = json.loads(ran.out)["nodes"]
    rows = [f"| {name} | {node['public_ip']} | {node['address']} |" for name, node in sorted(nodes.items())]
    return "\n".join(("| node | public address | address in the mesh |", "|---|---|---|", *rows))


def _leave(run: Runner, title: str, text: str) -> None:
    body = f"## {run.stack}: {title}\n\n([run]({run.url}))\n\n{text}"
    run.summarize(body)
    run.keep(_FILE, {"body": f"{marker(_CLUSTER, run.stack)}\n{body}"})
