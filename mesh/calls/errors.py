"""What a call of a node ends with when the node does not do its part."""

from typing import Final

from mesh.said import shown

__all__ = ["NodeError"]

# Characters of a message about a node: remedies with their URNs are long.
_MESSAGE: Final = 2_000


class NodeError(Exception):
    """A node cannot be reached, or does not do what it is asked; the message says why and what helps.

    Whatever of it came from a node is made visible.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shown(message, limit=_MESSAGE))
