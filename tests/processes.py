"""Processes that a test has left."""

from collections.abc import Iterator
from pathlib import Path

__all__ = ["processes_in"]


def processes_in(folder: Path) -> Iterator[int]:
    """Yield the processes whose working directory this is."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve(strict=True) == folder.resolve():
                yield int(process.name)
        except OSError:  # gone, or somebody else's
            continue
