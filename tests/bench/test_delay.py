"""A line passes all packets in order, and none before its time."""

import socket
import time

from bench.delay import _Line, _passing

DELAY = 0.05
PACKETS = [f"packet {number}".encode() for number in range(8)]  # as many as a socket keeps


def test_packets_arrive_in_order_and_late() -> None:
    near, source = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    target, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, source, target, far:
        source.setblocking(False)
        far.settimeout(10)
        with _passing(_Line(source.fileno(), target.fileno(), DELAY)):
            for packet in PACKETS:
                sent = time.monotonic()
                near.send(packet)
            arrived = [far.recv(100) for _ in PACKETS]
            assert time.monotonic() >= sent + DELAY
    assert arrived == PACKETS
