"""Small helps of tests: waiting for something, and a free port."""

import contextlib
import random
import socket
import time
from collections.abc import Callable
from typing import Final

__all__ = ["free_port", "wait"]

# Below those of connections (Linux, net.ipv4.ip_local_port_range).
_PORTS: Final = range(20_000, 32_768)


def wait(done: Callable[[], bool], seconds: float = 30, *, pause: float = 0.1) -> None:
    """Wait for something to become true, asking again after each pause. Raises `AssertionError`.

    A pause is at least as long as the question before it took: dear questions slow down what they wait for.
    """
    end = time.monotonic() + seconds
    asked = time.monotonic()
    while not done():
        now = time.monotonic()
        assert now < end, f"waited {seconds:g} s in vain"
        time.sleep(max(pause, now - asked))
        asked = time.monotonic()


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on, and that no connection gets by itself."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"none of 100 ports from {_PORTS.start} to {_PORTS.stop - 1} is free")
