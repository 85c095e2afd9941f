"""Pure: a block of lines of ours within a file that belongs to somebody else, byte for byte.

Lines end with LF. Nothing else ends a line: a carriage return, a form feed, NEL or U+2028 belongs to the line
it is in, as for the programs that read these files.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

__all__ = ["BEGIN", "END", "lines_of", "made_for_block", "with_block", "without_block"]

BEGIN = b"# BEGIN wgmesh"
END = b"# END wgmesh"
# What the file was, where it cannot be seen any more once the block is in it.
_JOINED = BEGIN + b" (the line before had no end)"
_MADE = BEGIN + b" (there was no such file)"


def lines_of(text: bytes) -> list[bytes]:
    """Return the lines with their LF; the last one may have none."""
    *ended, last = text.split(b"\n")
    return [line + b"\n" for line in ended] + ([last] if last else [])


def _split(text: bytes) -> tuple[list[bytes], Optional[tuple[int, bytes]]]:
    """Return the lines of others, and the first block of ours: its place among them, its first line.

    A marker without its other half is left out alone, so that no line of another owner is ever lost. What an
    editor put at a marker's end (a carriage return, spaces) does not hide the marker.
    """
    rest: list[bytes] = []
    began: Optional[tuple[int, bytes]] = None
    block: Optional[tuple[int, bytes]] = None
    for line in lines_of(text):
        bare = line.rstrip(b"\r\n\t ")
        if bare in (BEGIN, _JOINED, _MADE):
            began = len(rest), bare
        elif bare == END:
            if began is not None:
                del rest[began[0] :]
                block = block or began
            began = None
        else:
            rest.append(line)
    return rest, block


def without_block(text: bytes) -> bytes:
    """Return `text` without our block: what the file was before the block came."""
    rest, block = _split(text)
    if rest and block == (len(rest), _JOINED):
        rest[-1] = rest[-1].removesuffix(b"\n")
    return b"".join(rest)


def made_for_block(text: bytes) -> bool:
    """Tell whether the file was made for our block, and nobody has put anything else into it."""
    rest, block = _split(text)
    return not rest and block == (0, _MADE)


def with_block(text: Optional[bytes], block: bytes) -> bytes:
    """Return `text` with our block holding the lines of `block`, in its old place or at the end.

    `text` is None where there is no file. `without_block` undoes it to the byte.
    """
    rest, found = _split(text or b"")
    if found is None:
        found = len(rest), _MADE if text is None else BEGIN
        if rest and not rest[-1].endswith(b"\n"):
            rest[-1] += b"\n"
            found = len(rest), _JOINED
    place, first = found
    ours = [first + b"\n", *lines_of(block), END + b"\n"]
    return b"".join([*rest[:place], *ours, *rest[place:]])
