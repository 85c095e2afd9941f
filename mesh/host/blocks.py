"""Pure: a block of lines of ours within a file that belongs to somebody else."""

__all__ = ["BEGIN", "END", "with_block", "without_block"]

BEGIN = "# BEGIN wgmesh"
END = "# END wgmesh"


def without_block(text: str) -> str:
    """Return `text` without our block.

    A marker without its other half is removed alone, so that no line of another owner is ever lost.
    """
    kept: list[str] = []
    start = -1
    for line in text.splitlines():
        if line == BEGIN:
            start = len(kept)
        elif line == END:
            if start >= 0:
                del kept[start:]
            start = -1
        else:
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)


def with_block(text: str, block: str) -> str:
    """Return `text` with our block holding the lines of `block`, in its old place or at the end."""
    lines = text.splitlines()
    place = None
    if lines.count(BEGIN) == 1 and lines.count(END) == 1 and lines.index(BEGIN) < lines.index(END):
        place = lines.index(BEGIN)
    rest = without_block(text).splitlines()
    if place is None:
        place = len(rest)
    merged = [*rest[:place], BEGIN, *block.splitlines(), END, *rest[place:]]
    return "".join(f"{line}\n" for line in merged)
