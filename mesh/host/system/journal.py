"""A line for the journal that is sent without waiting: whoever brings a node back must not hang on a log.

syslog(3) waits for as long as journald does not read, which may be for ever.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["send_line"]

_JOURNAL = "/dev/log"
_KERNEL_LOG = Path("/dev/kmsg")
_KERNEL_LOG_DEVICE = os.makedev(1, 11)  # Linux, Documentation/admin-guide/devices.txt
# Facility daemon (3), severity notice (5): RFC 5424, section 6.2.1.
_PRIORITY = 3 * 8 + 5
# Far below what a datagram may hold; the kernel's log takes about 1000 bytes (Linux, kernel/printk).
_LONGEST = 8000
_LONGEST_KERNEL = 900


def send_line(text: str) -> None:
    """Send one line to the journal; to the kernel's log where nobody takes it; else it is lost."""
    line = f"<{_PRIORITY}>wgmesh[{os.getpid()}]: {text}".encode()
    try:
        _to_journal(line[:_LONGEST])
    except OSError:
        with contextlib.suppress(OSError):
            _to_kernel_log(line[:_LONGEST_KERNEL])


def _to_journal(line: bytes) -> None:
    """Raises `OSError`, also where this would have to wait (EAGAIN)."""
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as log:
        log.connect(_JOURNAL)
        log.send(line)


def _to_kernel_log(line: bytes) -> None:
    """Raises `OSError`."""
    handle = os.open(_KERNEL_LOG, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if os.fstat(handle).st_rdev == _KERNEL_LOG_DEVICE:
            os.write(handle, line)
    finally:
        os.close(handle)
