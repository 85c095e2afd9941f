"""Knocks at several ports of a host all the while, and remembers the moments at which no port answered."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

_PATIENCE = 4.0  # a packet that is not answered comes again after one second and after three
_PAUSE = 0.02


@dataclass
class Knocks:
    """How often each port let somebody in, and when (seconds, monotonic) none of them did."""

    answered: dict[int, int] = field(default_factory=dict)
    shut: list[str] = field(default_factory=list)


def _answers(address: str, port: int) -> str | None:
    """None when an SSH server says its name there, else why not."""
    try:
        with socket.create_connection((address, port), timeout=_PATIENCE) as connection:
            return None if connection.recv(4) == b"SSH-" else "no greeting"
    except OSError as error:
        return f"{type(error).__name__}"


def _knock(address: str, ports: Sequence[int], knocks: Knocks, over: threading.Event) -> None:
    last = ports[0]
    while not over.is_set():
        reasons = {}
        # the one that answered last comes first: the other one may be shut, and would cost its patience
        for port in (last, *(other for other in ports if other != last)):
            reason = _answers(address, port)
            if reason is None:
                knocks.answered[port] = knocks.answered.get(port, 0) + 1
                last = port
                break
            reasons[port] = reason
        else:
            knocks.shut.append(f"{time.monotonic():.2f}: {reasons}")
        time.sleep(_PAUSE)


@contextmanager
def knocking(address: str, *ports: int) -> Iterator[Knocks]:
    """Knock from outside, some thirty times a second, until the block is done."""
    knocks, over = Knocks(), threading.Event()
    knocker = threading.Thread(target=_knock, args=[address, ports, knocks, over])
    knocker.start()
    try:
        yield knocks
    finally:
        over.set()
        knocker.join()
