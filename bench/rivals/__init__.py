"""The ways to make a mesh that are compared. Another rival is one module here, and its line in `RIVALS`."""

from typing import Final

from bench.rivals import mitogen, ours, playbook, pyinfra
from bench.rivals.rival import Rival, Tool

__all__ = ["OURS", "PLAYBOOK", "RIVALS", "Rival", "Tool"]

OURS: Final = ours.RIVAL
PLAYBOOK: Final = playbook.RIVAL
RIVALS: Final = (OURS, PLAYBOOK, mitogen.RIVAL, pyinfra.RIVAL)
"""In the order of the page's columns."""
