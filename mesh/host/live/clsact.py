"""The place on an interface where filters of `tc` look at packets, in and out: clsact, as in tc-bpf(8)."""

from __future__ import annotations

from ..system.run import attempt

__all__ = ["add_queue", "has_queue"]


def has_queue(interface: str) -> bool:
    """Tell whether an interface has the place; False for an interface that does not exist."""
    shown = attempt(["tc", "qdisc", "show", "dev", interface]) or ""
    return any(line.startswith("qdisc clsact ") for line in shown.splitlines())


def add_queue(interface: str) -> bool:
    """Have the place on an interface; False where the kernel cannot, or where a filter queue of others is.

    On an interface that is up this may lose a packet for each peer: add the place before that.
    """
    added = attempt(["tc", "qdisc", "add", "dev", interface, "clsact"])
    return added is not None or has_queue(interface)
