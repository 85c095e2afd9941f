"""Pure: a node's plan and the directory, to the text of the node's files."""

from mesh.render.document import UNKNOWN_TEXT, RenderError, render_document
from mesh.render.doors import NOTHING_MOVES, Doors, Moving, read_doors

__all__ = [
    "NOTHING_MOVES",
    "UNKNOWN_TEXT",
    "Doors",
    "Moving",
    "RenderError",
    "read_doors",
    "render_document",
]
