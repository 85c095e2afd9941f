"""Pure: a node's plan and the directory, to the text of the node's files."""

from mesh.render.document import UNKNOWN_TEXT, RenderError, render_document

__all__ = ["UNKNOWN_TEXT", "RenderError", "render_document"]
