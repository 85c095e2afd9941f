"""What a node remarks beside its answer: shown as warnings, since the change itself went well."""

from typing import Final

import pulumi

from mesh.said import shown

__all__ = ["tell_remarks"]

_REMARK: Final = "REMARK "
_MOST: Final = 10


def tell_remarks(node: str, answer: str) -> None:
    """Show the remarks in the answer of an `apply` (docs/protocol.md), say on a firewall of another kind."""
    remarks = [line for line in answer.split("\n") if line.startswith(_REMARK)]
    for line in remarks[:_MOST]:
        pulumi.log.warn(f"{node}: {shown(line[len(_REMARK) :])}")
    if len(remarks) > _MOST:
        pulumi.log.warn(
            f"{node}: {len(remarks) - _MOST} more remarks: `python -m mesh check` shows all of them"
        )
