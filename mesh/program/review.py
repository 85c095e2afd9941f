"""What a reviewer sees of a node that does not exist yet: its files, line by line.

Pulumi shows a text that is new as one long line, cut after the third. A message of the program that is only
for the moment (`ephemeral`) is shown whole by `--diff`, as one line beside the node by a plain preview, and
nowhere afterwards; nothing of it is kept in the state.
"""

import textwrap
from typing import Any

import pulumi

__all__ = ["show_files"]

_MARGIN = "    "


def show_files(node: str, document: pulumi.Output[str], *, beside: pulumi.Resource) -> None:
    """Show a new node's files in a preview; `beside` is the resource the message belongs to."""
    if not pulumi.runtime.is_dry_run():
        return

    def show(text: Any) -> None:
        if isinstance(text, str):
            files = textwrap.indent(text.rstrip("\n"), _MARGIN)
            pulumi.log.info(f"{node} is new, with these files:\n{files}", beside, ephemeral=True)

    document.apply(show)
