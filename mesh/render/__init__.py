"""Pure: a node's plan and what a run knows, to the text of the node's files."""

from mesh.render.document import RenderError, render_document
from mesh.render.doors import NOTHING_MOVES, Doors, Moving, read_doors
from mesh.render.facts import (
    UNKNOWN,
    UNKNOWN_TEXT,
    Endpoint,
    KeyNames,
    PeerFacts,
    Unknown,
    parse_endpoint,
)

__all__ = [
    "NOTHING_MOVES",
    "UNKNOWN",
    "UNKNOWN_TEXT",
    "Doors",
    "Endpoint",
    "KeyNames",
    "Moving",
    "PeerFacts",
    "RenderError",
    "Unknown",
    "parse_endpoint",
    "read_doors",
    "render_document",
]
