"""Markdown that a job writes: parts of comments, issues and summaries."""

import re
from typing import Final

from tools.ci.redact import redacted

__all__ = ["LIMIT_BYTES", "cut", "fenced", "marker", "short"]

LIMIT_BYTES: Final = 60_000
"""The longest review or error of a comment. GitHub takes 65 536 characters of a comment in all."""


def marker(what: str, stack: str) -> str:
    """Return the invisible first line by which a later run finds its comment or issue again."""
    return f"<!-- wireguard-mesh: {what} of {stack} -->"


def short(commit: str) -> str:
    """Return a commit's hash as people write it."""
    return commit[:12]


def cut(text: str, limit: int = LIMIT_BYTES) -> str:
    """Return the text with at most `limit` bytes and a line that says what is missing."""
    whole = text.encode()
    if len(whole) <= limit:
        return text
    kept = whole[: limit - 100].decode(errors="ignore")
    return f"{kept}\n... {len(whole) - len(kept.encode())} more bytes: see the log of the run"


def fenced(text: str) -> str:
    """Return any text as a block of code that the text itself cannot end, redacted and cut."""
    shown = cut(redacted(text).strip("\n"))
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown}\n{fence}"
