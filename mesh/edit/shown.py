"""What an edit changed, as a unified diff of the mesh alone: the rest of the file may hold secrets."""

import difflib
import re

from mesh.edit.document import Document, end_of
from mesh.edit.edit import Edit

__all__ = ["diff"]


def diff(edit: Edit, name: str) -> str:
    """Return a unified diff, with the file's name and line numbers. Only lines of the mesh are shown."""
    if _shares_lines(edit.before):
        return f"--- {name}\n+++ {name}\n(the line also holds other configuration, so it is not shown)"
    first, old = _lines(edit.before)
    _, new = _lines(edit.after)
    found = difflib.unified_diff(old, new, name, name, lineterm="")
    return "\n".join(_moved(line, first) for line in found)


def _moved(line: str, first: int) -> str:
    """Count the lines of a hunk from the beginning of the file."""
    if not line.startswith("@@"):
        return line
    return re.sub(r"(?<=[-+])\d+", lambda number: str(int(number[0]) + first), line)


def _lines(document: Document) -> tuple[int, list[str]]:
    start = document.text.rfind("\n", 0, document.mesh.key.start_mark.index) + 1
    end = document.text.find("\n", end_of(document.text, document.mesh.value))
    lines = document.text[start : None if end < 0 else end].split("\n")
    return document.text.count("\n", 0, start), [line.rstrip("\r") for line in lines]


def _shares_lines(document: Document) -> bool:
    before = document.text[: document.mesh.key.start_mark.index].rpartition("\n")[2]
    after = document.text[end_of(document.text, document.mesh.value) :].partition("\n")[0].strip()
    return bool(before.strip()) or not (after == "" or after.startswith("#"))
