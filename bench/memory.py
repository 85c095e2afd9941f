"""Memory of processes as their proportional set sizes: pages that several share count once."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["Peak", "engine_and_program", "in_groups", "peak", "pss"]

_PERIOD_SECONDS: Final = 0.25
# A word of its command line: `python -m lab run up` is the engine itself.
_ENGINES: Final = frozenset((b"lab", b"lab.engine"))


class Peak:
    """The highest sum so far, in MB."""

    def __init__(self) -> None:
        self.mb = 0.0


@contextmanager
def peak(find: Callable[[], set[int]]) -> Iterator[Peak]:
    """Watch the processes that `find` names, four times a second."""
    found, over = Peak(), threading.Event()

    def watch() -> None:
        while not over.wait(_PERIOD_SECONDS):
            found.mb = max(found.mb, pss(find()))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def pss(pids: set[int]) -> float:
    """Return the sum of the processes' proportional set sizes in MB; one that has ended counts nothing."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def engine_and_program() -> set[int]:
    """Return the processes below this one that are an engine, and what those have started."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    below = {pid for pid in parents if os.getpid() in _ancestors(pid, parents)}
    engines = {pid for pid in below if _ENGINES & {*_words(pid)}}
    return engines | {pid for pid in below if engines & _ancestors(pid, parents)}


def _ancestors(pid: int, parents: dict[int, int]) -> set[int]:
    found: set[int] = set()
    while (pid := parents.get(pid, 0)) and pid not in found:
        found.add(pid)
    return found


def _words(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def in_groups(prefix: str) -> set[int]:
    """Return the processes in control groups whose names begin so: those of a lab's hosts."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"/{prefix}" in (folder / "cgroup").read_text():
                found.add(int(folder.name))
        except OSError:
            continue
    return found
