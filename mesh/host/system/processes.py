"""What the kernel tells of a process."""

from __future__ import annotations

from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

__all__ = ["process_fields", "process_start"]


def process_start(pid: int) -> Optional[int]:
    """Return when a process began, in clock ticks since boot; with the pid it names it for good."""
    fields = process_fields(pid)
    return int(fields[19]) if fields else None


def process_fields(pid: int) -> list[str]:
    """Return what the kernel tells of a process after its name (proc_pid_stat(5)): state, parent, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
