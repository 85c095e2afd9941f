"""The door for what nodes say: short, visible, and nothing that a terminal or a program would obey.

Whoever is root on a node decides what its commands print. Text of a node is shown only after `visible`, or
`shown`, which also bounds it.
"""

from typing import Final

__all__ = ["REPORT_BYTES", "TEXT_BYTES", "ends", "last_line", "shown", "visible"]

REPORT_BYTES: Final = 1_000_000
"""As much as is read of a report: 100 nodes make some 30 kB, and 300 differences as much again."""
TEXT_BYTES: Final = 64_000
"""As much as is read, or looked at, of anything else."""

# Characters of a message, and those of a table's cell: enough for a rule of the firewall with its comment.
_SHOWN: Final = 400


def visible(text: str) -> str:
    r"""Return text in which each character that is no letter, mark or plain space reads as `\x1b`.

    That is control characters (ESC, CR, LF and C1 too), marks that turn the direction of writing, characters
    without width and those that no font has (`str.isprintable`).
    """
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def shown(text: str, *, limit: int = _SHOWN) -> str:
    """Return the visible text, at most `limit` characters of it and how many are left out."""
    whole = visible(text[: limit + 1])
    if len(text) <= limit and len(whole) <= limit:
        return whole
    return f"{whole[:limit]}... (cut)"


def ends(text: str) -> str:
    """Return the beginning and the end of a long text: there providers and agents say what matters."""
    if len(text) <= TEXT_BYTES:
        return text
    half = TEXT_BYTES // 2
    return f"{text[:half]}\n...\n{text[-half:]}"


def last_line(text: str) -> str:
    """Return the last line that is not empty; of the agent, a word and a detail."""
    return text[-TEXT_BYTES:].rstrip().rpartition("\n")[2]
