"""CPU time of control groups."""

from pathlib import Path
from typing import Final

from bench.trouble import BenchError

__all__ = ["cpu_seconds", "groups_root"]

_ROOTS: Final = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
"""Hybrid and unified layout of systemd."""


def groups_root() -> Path:
    """Return the folder of control groups of version 2. Raises `BenchError` on a machine without them."""
    for root in _ROOTS:
        if (root / "cgroup.controllers").exists():
            return root
    raise BenchError("CPU time is counted by control groups of version 2, which this machine does not mount")


def cpu_seconds(group: str) -> float:
    """Return the CPU seconds that the processes of a group have used, those that have ended included."""
    lines = (groups_root() / group / "cpu.stat").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("usage_usec "))) / 1e6
