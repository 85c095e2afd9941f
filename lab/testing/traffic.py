"""Numbered packets on every ordered pair of hosts; and what the kernels dropped for lack of room."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from lab.testing.hosts import Console

__all__ = ["Traffic", "traffic"]

_METER: Final = """
import json, select, socket, struct, sys, time
own, others, rate = ARGS
room = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
room.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
room.setsockopt(socket.SOL_SOCKET, 32, 1 << 24)  # SO_SNDBUFFORCE
room.bind((own, 9000))
room.setblocking(False)
seen = {other: bytearray() for other in others}
last, gaps = {}, {other: 0.0 for other in others}
def take():
    while True:
        try:
            data, (source, _) = room.recvfrom(64)
        except BlockingIOError:
            return
        number, = struct.unpack("!I", data)
        got, now = seen[source], time.monotonic()
        if number >= len(got):
            got.extend(bytes(number + 1 - len(got)))
        got[number] = 1
        gaps[source] = max(gaps[source], now - last.get(source, now))
        last[source] = now
unsent = 0
print("ready", flush=True)
sys.stdin.readline()
start, number, sending, ended = time.monotonic(), 0, True, False
while not ended:
    wait = start + number / rate - time.monotonic() if sending else 0.2
    ready = select.select([room, sys.stdin], [], [], max(0.0, wait))[0]
    take()
    if sys.stdin in ready:
        word = sys.stdin.readline().strip()
        sending, ended = False, word != "stop"
    while sending and time.monotonic() >= start + number / rate:
        for other in others:
            try:
                room.sendto(struct.pack("!I", number), (other, 9000))
            except OSError:
                unsent += 1
        number += 1
        take()
print(json.dumps({"sent": number, "unsent": unsent,
                  "seen": {other: sum(got)
                           for other, got in seen.items()},
                  "gaps": gaps}), flush=True)
"""
# A host's packets that found no room: they say that the machine was too slow, and nothing of a tunnel.
_NO_ROOM: Final = (
    "awk '/^Udp: [0-9]/ {{print $6 + $7}}' /proc/net/snmp; "
    "cat /sys/class/net/{interface}/statistics/tx_dropped"
)
# Seconds for what is on its way.
_ON_ITS_WAY: Final = 1.5


@dataclass
class Traffic:
    """What came of it, once it has ended: packets by (sender, receiver), the longest gap in seconds.

    `no_room` are packets that the hosts' kernels dropped because the machine was too slow, of this traffic or
    of another; nothing is taken off `lost` for them.
    """

    sent: dict[tuple[str, str], int] = field(default_factory=dict)
    received: dict[tuple[str, str], int] = field(default_factory=dict)
    longest_gap: float = 0.0
    no_room: int = 0

    @property
    def lost(self) -> dict[tuple[str, str], int]:
        """The pairs that lost packets, and how many."""
        missing = {pair: sent - self.received[pair] for pair, sent in self.sent.items()}
        return {pair: count for pair, count in missing.items() if count}

    @property
    def total(self) -> int:
        """How many were sent."""
        return sum(self.sent.values())

    def __str__(self) -> str:
        return (
            f"{sum(self.lost.values())} of {self.total} packets lost {self.lost or ''}, longest gap "
            f"{self.longest_gap * 1000:.0f} ms, {self.no_room} without room in the kernel"
        )


@contextmanager
def traffic(
    hosts: Mapping[str, Console], addresses: Mapping[str, str], *, rate: float, interface: str = "wg0"
) -> Iterator[Traffic]:
    """Send so many packets a second on every ordered pair; what came of it is known at the end.

    `addresses` are those of the hosts on the interface.
    """
    found = Traffic()
    before = _no_room(hosts, interface)
    running: dict[str, subprocess.Popen[str]] = {}
    try:
        for name, host in hosts.items():
            others = [addresses[other] for other in hosts if other != name]
            script = _METER.replace("ARGS", repr((addresses[name], others, rate)))
            running[name] = host.background(script)
        _say(running, "go")
        yield found
    finally:
        results = _end(running)
    found.no_room = _no_room(hosts, interface) - before
    for name, result in results.items():
        for other in hosts:
            if other != name:
                found.sent[name, other] = result["sent"]
                found.received[name, other] = results[other]["seen"][addresses[name]]
    found.longest_gap = max(max(result["gaps"].values()) for result in results.values())


def _end(running: Mapping[str, subprocess.Popen[str]]) -> dict[str, dict[str, Any]]:
    """Stop all senders, and then all receivers, so that nothing is on its way any more."""
    _say(running, "stop")
    time.sleep(_ON_ITS_WAY)
    _say(running, "end")
    results = {}
    for name, process in running.items():
        assert process.stdout is not None
        results[name] = json.loads(process.stdout.readline())
        process.wait(10)
    return results


def _say(running: Mapping[str, subprocess.Popen[str]], word: str) -> None:
    for process in running.values():
        assert process.stdin is not None
        process.stdin.write(f"{word}\n")
        process.stdin.flush()


def _no_room(hosts: Mapping[str, Console], interface: str) -> int:
    script = _NO_ROOM.format(interface=interface)
    return sum(int(number) for host in hosts.values() for number in host.inside(script).split())
