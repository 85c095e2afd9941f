"""Many questions to `ip` in one process."""

from __future__ import annotations

import json

from .run import told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["ask", "parse_answers"]


def ask(version: int, questions: Iterable[str]) -> list[list[Any]]:
    """Return what `ip` answers to these lines, for one IP version; nothing stands for one that failed.

    Raises `AgentError`.
    """
    lines = "".join(f"{question}\n" for question in questions)
    # Goes on behind a question that has no answer, such as the way to where there is none.
    argv = ["ip", "-j", "-force", f"-{version}", "-batch", "-"]
    return parse_answers(told(argv, stdin=lines)) if lines else []


def parse_answers(text: str) -> list[list[Any]]:
    """Parse JSON arrays one after the other. Pure."""
    decoder, answers, place = json.JSONDecoder(), [], text.find("[")
    while place >= 0:
        answer, place = decoder.raw_decode(text, place)
        answers.append(answer)
        place = text.find("[", place)
    return answers
