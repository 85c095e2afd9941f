"""Distance: packets between this machine and the hosts of a fleet arrive late, as from another continent.

Two TUN devices take the place of the link between this machine and the fleet's router. What goes into one
comes out of the other after a fixed time, in order; nothing is lost, and throughput has no limit but that of
this process. So every tool on this machine reaches the real sshd of each host only this way. The hosts reach
each other as before.
"""

import fcntl
import os
import selectors
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Final

from bench.fleet import Fleet
from lab.hosts.router import Router

__all__ = ["ROUND_TRIP_SECONDS", "delayed"]

ROUND_TRIP_SECONDS: Final = 0.1
"""As between Europe and the east of America."""

_DEVICE: Final = "/dev/net/tun"
# linux/if_tun.h.
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_PACKET_BYTES: Final = 65535
_PACKETS_AT_ONCE: Final = 64
# A table that nothing else in a router's namespace has; its rule comes before the kernel's own (ip-rule(8)).
_TABLE: Final = "100"


def delayed(round_trip: float) -> Callable[[Fleet], AbstractContextManager[None]]:
    """Return what delays the packets of a fleet by half of this (seconds) in each direction."""

    @contextmanager
    def around(fleet: Fleet) -> Iterator[None]:
        near, far = (f"{fleet.router.id}-{side}" for side in ("near", "far"))
        ours, theirs = _tun(near), _tun(far)
        try:
            _route(fleet.router, near, far)
            with _passing(_Line(ours, theirs, round_trip / 2), _Line(theirs, ours, round_trip / 2)):
                yield
        finally:  # the devices end with their files, the routes with the devices
            os.close(ours)
            os.close(theirs)

    return around


def _tun(name: str) -> int:
    device = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


def _route(router: Router, near: str, far: str) -> None:
    """Lead the packets of both sides into the devices; routes to halves of the pool win over the pool's."""
    machine = str(router.pool[1])
    there = ("nsenter", f"--net={router.namespace_path}", "ip")
    for command in (
        ("ip", "link", "set", far, "netns", router.namespace),
        ("ip", "link", "set", near, "up"),
        *(("ip", "route", "add", str(half), "dev", near, "src", machine) for half in router.pool.subnets()),
        (*there, "link", "set", far, "up"),
        (*there, "route", "add", f"{machine}/32", "dev", far, "table", _TABLE),
        (*there, "rule", "add", "to", f"{machine}/32", "lookup", _TABLE),
    ):
        subprocess.run(command, check=True)


@dataclass
class _Line:
    """One direction: the devices it reads and writes, seconds of delay, and the packets on their way."""

    source: int
    target: int
    delay: float
    packets: deque[tuple[float, bytes]] = field(default_factory=deque)

    def take(self) -> None:
        """Read what came."""
        for _ in range(_PACKETS_AT_ONCE):
            try:
                packet = os.read(self.source, _PACKET_BYTES)
            except BlockingIOError:
                return
            self.packets.append((time.monotonic() + self.delay, packet))

    def give(self) -> None:
        """Write what is due."""
        while self.packets and self.packets[0][0] <= time.monotonic():
            os.write(self.target, self.packets.popleft()[1])


@contextmanager
def _passing(*lines: _Line) -> Iterator[None]:
    """Pass packets in a thread until the end of the block."""
    over = threading.Event()
    stop, stopped = os.pipe()

    def run() -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(stop, selectors.EVENT_READ)
            for line in lines:
                ready.register(line.source, selectors.EVENT_READ, line)
            while not over.is_set():
                for key, _ in ready.select(_until_next(lines)):
                    if isinstance(key.data, _Line):
                        key.data.take()
                for line in lines:
                    line.give()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        os.close(stopped)
        thread.join()
        os.close(stop)


def _until_next(lines: tuple[_Line, ...]) -> float | None:
    """Return the seconds until a packet is due; None while there is none."""
    due = [line.packets[0][0] for line in lines if line.packets]
    return max(0.0, min(due) - time.monotonic()) if due else None
