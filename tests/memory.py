"""How much memory a process had at most: what the kernel counts, for this process alone.

`getrusage` is no use here: its figure of a new process begins with the figure of the process that started it.
"""

from pathlib import Path

__all__ = ["forget_peak", "peak_kb"]


def forget_peak() -> None:
    """Let the count begin anew: with what this process has now (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_kb() -> int:
    """Return the most that this process had since its start or since `forget_peak`, in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
