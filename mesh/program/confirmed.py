"""A commit counts when the node says that it committed the very files it was sent.

A command that exits with 0 is done for the engine, whatever it printed, and the state has its new inputs. So
a hook that runs after it fails, and with it the run. The next run finds the wrong answer in the state and
gives the command another line: the preview shows the change again, and `up` sends the files again.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import pulumi

from mesh.program.remarks import tell_remarks
from mesh.said import last_line, shown

__all__ = ["CONFIRMED", "line_to_run", "require_confirmed"]

CONFIRMED: Final = "wireguard-mesh-confirmed"
"""The name of the hook."""

_AGAIN: Final = " # again: the answer to the last one was not for the files that were sent"


def require_confirmed(args: pulumi.ResourceHookArgs) -> None:
    """Fail unless the answer to an `apply` is for the document it was sent; pass on what it remarks.

    Raises `RuntimeError`.
    """
    inputs, outputs = args.new_inputs or {}, args.new_outputs or {}
    node = args.name.removesuffix("-apply")
    if not _confirmed(inputs.get("stdin"), outputs.get("stdout")):
        answer = shown(last_line(str(outputs.get("stdout") or ""))) or "nothing"
        raise RuntimeError(
            f"{node} did not confirm the new files; it answered `{answer}`. Perhaps another agent is "
            f"installed there, or a start file of root's shell (such as /root/.bashrc) ends the shell "
            f"(`exit`). Look at the node (`python -m mesh check`), then run up again: `up` sends the files "
            f"again."
        )
    tell_remarks(node, outputs["stdout"])


def line_to_run(line: str, record: Mapping[str, Any]) -> str:
    """Return the command line for an `apply`: another one than the state has where its answer was wrong.

    `record` is what the state has of the resource, empty for a new one. What was confirmed stays as it is.
    """
    before, answer = record.get("create"), record.get("stdout")
    if before not in (line, line + _AGAIN):
        return line
    if answer is None or _confirmed(record.get("stdin"), answer):
        return str(before)
    return line if before == line + _AGAIN else line + _AGAIN


def _confirmed(document: Any, answer: Any) -> bool:
    if not isinstance(document, str) or not isinstance(answer, str):
        return False
    digest = hashlib.sha256(document.encode()).hexdigest()
    return last_line(answer) in (f"CONFIRMED {digest}", f"UNCHANGED {digest}")
