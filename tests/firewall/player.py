"""Runs inside a namespace: keeps it, knocks at doors, or listens. Standard library only."""

import errno
import json
import os
import select
import socket
import struct
import sys
from typing import Any

_QUIET = 0.6  # seconds without an answer after which none will come
_IP_PKTINFO = 8  # linux/in.h


def keep() -> None:
    print("ready", flush=True)
    sys.stdin.read()


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _start(knock: dict[str, Any]) -> socket.socket | None:
    udp = knock["protocol"] == "udp"
    sock = socket.socket(_family(knock["target"]), socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.bind((knock["source"], knock["sport"]))
    started = sock.connect_ex((knock["target"], knock["port"]))
    if started not in (0, errno.EINPROGRESS):
        sock.close()
        return None
    if udp:
        try:
            sock.send(b"?")
        except OSError:
            sock.close()
            return None
    return sock


def _passed(sock: socket.socket, knock: dict[str, Any]) -> bool:
    """An echo, a connection or a reset passed; any other error is the firewall's or the network's."""
    if knock["protocol"] == "udp":
        try:
            return sock.recv(1) == b"?"
        except OSError:
            return False
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (0, errno.ECONNREFUSED)


def _checksum(packet: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


_ANSWERS = {8: 0, 13: 14, 128: 129}  # echo, time stamp, ICMPv6 echo: RFC 792, RFC 4443


def _ping(knock: dict[str, Any]) -> bool:
    """Send one ICMP message; its type stands where others have a port."""
    kind = knock["port"]
    v6 = _family(knock["target"]) == socket.AF_INET6
    protocol = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
    with socket.socket(_family(knock["target"]), socket.SOCK_RAW, protocol) as sock:
        sock.bind((knock["source"], 0))
        sock.settimeout(_QUIET)
        body = struct.pack("!HH", 7, 7) + bytes(12)
        sum_ = _checksum(struct.pack("!BBH", kind, 0, 0) + body)
        sock.sendto(struct.pack("!BBH", kind, 0, sum_) + body, (knock["target"], 0))
        try:
            while sock.recv(64)[0 if v6 else 20] != _ANSWERS[kind]:
                pass
        except OSError:
            return False
    return True


def knock() -> None:
    knocks = json.load(sys.stdin)
    if knocks and knocks[0]["uid"]:
        os.setuid(knocks[0]["uid"])
    results = [False] * len(knocks)
    waiting = {}
    for index, each in enumerate(knocks):
        if each["protocol"] == "icmp":
            results[index] = _ping(each)
            continue
        sock = _start(each)
        if sock is not None:
            waiting[sock] = index
    while waiting:
        udp = [sock for sock, index in waiting.items() if knocks[index]["protocol"] == "udp"]
        tcp = [sock for sock in waiting if sock not in udp]
        ready, writable, _ = select.select(udp, tcp, [], _QUIET)
        if not ready and not writable:
            break
        for sock in [*ready, *writable]:
            index = waiting.pop(sock)
            results[index] = _passed(sock, knocks[index])
            sock.close()
    print(json.dumps(results))


def listen() -> None:
    sockets = {}
    for port in json.loads(sys.stdin.readline()):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # answers leave from the address that was asked
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.bind(("0.0.0.0", port))
        sockets[sock] = port
        six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        six.bind(("::", port))
        sockets[six] = port
    heard: list[tuple[str, int]] = []
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([*sockets, sys.stdin], [], [])
        for sock in sockets.keys() & set(ready):
            data, control, _flags, source = sock.recvmsg(16, socket.CMSG_SPACE(12))
            heard.append((source[0], sockets[sock]))
            info = next((blob for _level, kind, blob in control if kind == _IP_PKTINFO), b"")
            answer = [(socket.IPPROTO_IP, _IP_PKTINFO, bytes(4) + info[4:8] + bytes(4))] if info else []
            sock.sendmsg([data], answer, 0, source)
        if sys.stdin in ready:
            print(json.dumps(heard))
            return


_SEGMENT_PORT = 7


def accept() -> None:
    with socket.create_server(("0.0.0.0", _SEGMENT_PORT)) as server:
        server.settimeout(5)
        print("ready", flush=True)
        connection, _ = server.accept()
        print(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
        connection.recv(1)


def dial() -> None:
    with socket.create_connection((json.load(sys.stdin), _SEGMENT_PORT), timeout=5) as connection:
        print(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))


if __name__ == "__main__":
    {"keep": keep, "knock": knock, "listen": listen, "accept": accept, "dial": dial}[sys.argv[1]]()
