"""What a user sees of an operation, made from its events."""

from lab.engine.display.digest import Digest
from lab.engine.display.screen import Screen

__all__ = ["Digest", "Screen"]
