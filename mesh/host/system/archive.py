"""Where the agent's own file is."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ARCHIVE"]

ARCHIVE = Path(__file__).parents[2]
"""The zipapp this code runs from: this module lies in a room of the package within."""
