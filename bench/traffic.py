"""Traffic between two hosts; runs on them, with nothing but Python's standard library.

    traffic.py serve                            until killed
    traffic.py measure ADDRESS SECONDS PINGS    prints one line of JSON

One sender, one receiver: `mbit` per second of TCP, `packets` of 64 bytes per second over UDP that arrived,
`round_trips` of UDP packets in microseconds.
"""

import json
import socket
import sys
import threading
import time

PORT = 5201
"""TCP takes what is sent and counts; UDP on the next port counts, on the one after that answers."""

_EVERYWHERE = "0.0.0.0"  # noqa: S104 - of a host of the lab
_BLOCK = b"\0" * 262_144
_PACKET = b"\0" * 64
_ANSWER_SECONDS = 1.0
_UNCOUNTED = 100
"""Round trips before the counted ones: the first packets find nothing in any cache."""


class Counter:
    """Packets that have arrived."""

    packets = 0


def serve() -> None:
    """Serve until killed."""
    counter = Counter()
    for work in (_answer, lambda: _count(counter)):
        threading.Thread(target=work, daemon=True).start()
    listener = socket.create_server((_EVERYWHERE, PORT))
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            _take(connection, counter)


def _take(connection: socket.socket, counter: Counter) -> None:
    """Read to the end; answer with the bytes, and with the packets that have arrived so far."""
    buffer, total = bytearray(len(_BLOCK)), 0
    while got := connection.recv_into(buffer):
        total += got
    connection.sendall(f"{total} {counter.packets}".encode())


def _count(counter: Counter) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind((_EVERYWHERE, PORT + 1))
        buffer = bytearray(2048)
        while True:
            sink.recv_into(buffer)
            counter.packets += 1


def _answer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo:
        echo.bind((_EVERYWHERE, PORT + 2))
        while True:
            packet, sender = echo.recvfrom(2048)
            echo.sendto(packet, sender)


def _send(address: str, seconds: float) -> tuple[int, int, float]:
    """Send over TCP for so long; returns bytes and packets that arrived, and the seconds until all had."""
    with socket.create_connection((address, PORT)) as connection:
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            connection.sendall(_BLOCK)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(100)
        took = time.perf_counter() - began
    total, packets = map(int, answer.split())
    return total, packets, took


def _rate(address: str, seconds: float) -> float:
    """Return the packets per second that arrive when as many are sent as can be."""
    before = _send(address, 0)[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
        source.connect((address, PORT + 1))
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            for _ in range(50):
                source.send(_PACKET)
    took = time.perf_counter() - began
    time.sleep(0.2)  # for packets on their way
    return (_send(address, 0)[1] - before) / took


def _round_trips(address: str, count: int) -> list[float]:
    """Return the times of those that came back; a lost one is left out."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
        source.connect((address, PORT + 2))
        source.settimeout(_ANSWER_SECONDS)
        for number in range(count + _UNCOUNTED):
            packet = number.to_bytes(len(_PACKET), "big")
            began = time.perf_counter_ns()
            source.send(packet)
            if _came_back(source, packet) and number >= _UNCOUNTED:
                found.append((time.perf_counter_ns() - began) / 1000)
    return found


def _came_back(source: socket.socket, packet: bytes) -> bool:
    """Wait for a packet; one before it that is late does not count for it."""
    try:
        while source.recv(2048) != packet:
            pass
    except TimeoutError:
        return False
    return True


def measure(address: str, seconds: float, pings: int) -> None:
    """Measure, and print what was found."""
    round_trips = _round_trips(address, pings)
    total, _, took = _send(address, seconds)
    packets = _rate(address, seconds / 2)
    print(json.dumps({"mbit": total * 8 / 1e6 / took, "packets": packets, "round_trips": round_trips}))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        measure(sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
