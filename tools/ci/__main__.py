"""Run one step of a workflow: `python3 -m tools.ci COMMAND`; exit code 1 if the job is to be red."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

from tools.ci import cluster, drift, pull_request, release, rotation
from tools.ci.redact import redacted
from tools.ci.runner import CiError, Runner, runner

__all__ = ["COMMANDS", "main"]

COMMANDS: Final[Mapping[str, Callable[[Runner], int]]] = {
    "preview": pull_request.preview,
    "comment": pull_request.tell,
    "plan": release.plan,
    "reviewed": release.reviewed,
    "up": lambda run: release.up(run, os.environ["MESH_DIGEST"]),
    "look": drift.look,
    "report": drift.report,
    "rotate": rotation.propose,
    "cluster-make": cluster.make,
    "cluster-destroy": cluster.destroy,
    "cluster-comment": cluster.tell,
    "cluster-list": cluster.find_left,
    "cluster-sweep": cluster.sweep,
}


def main() -> None:
    """Run the command that is named; an error is one line on stderr, exit code 1."""
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        print(f"usage: python3 -m tools.ci {'|'.join(COMMANDS)}", file=sys.stderr)
        raise SystemExit(2)
    try:
        raise SystemExit(min(COMMANDS[sys.argv[1]](runner()), 1))
    except CiError as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
