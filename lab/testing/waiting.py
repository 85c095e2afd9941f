"""Small helps of tests: waiting for something, and a free port."""

import socket
import time
from collections.abc import Callable

__all__ = ["free_port", "wait"]


def wait(done: Callable[[], bool], seconds: float = 30, *, pause: float = 0.1) -> None:
    """Wait for something to become true, asking again after each pause. Raises `AssertionError`."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain"
        time.sleep(pause)


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
