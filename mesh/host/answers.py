"""The words the agent answers with, and the one exception that carries them."""

from __future__ import annotations

from enum import Enum

__all__ = ["AgentError", "Answer"]


class Answer(Enum):
    """An answer: its word and its exit code (BSD sysexits where one fits)."""

    INSTALLED = ("INSTALLED", 0)
    STORED = ("STORED", 0)
    MADE = ("MADE", 0)
    CONFIRMED = ("CONFIRMED", 0)
    UNCHANGED = ("UNCHANGED", 0)
    LEFT = ("LEFT", 0)
    SETTLED = ("SETTLED", 0)
    HELD = ("HELD", 0)
    DONE = ("DONE", 0)
    USAGE = ("USAGE", 64)
    REFUSED = ("REFUSED", 65)
    KEYS_MISSING = ("KEYS-MISSING", 66)
    ROLLED_BACK = ("ROLLED-BACK", 70)
    FAILED = ("FAILED", 71)
    NO_SPACE = ("NO-SPACE", 74)
    IO_ERROR = ("IO-ERROR", 74)
    BUSY = ("BUSY", 73)
    RECONNECT = ("RECONNECT", 75)

    def __init__(self, word: str, code: int) -> None:
        self.word = word
        self.code = code


class AgentError(Exception):
    """The agent cannot go on; `answer` is what it says, the message why. Never holds a secret."""

    def __init__(self, answer: Answer, reason: str) -> None:
        super().__init__(reason)
        self.answer = answer
        self.reason = reason
