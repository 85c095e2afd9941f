"""Messages of peers that rotate keys, as echo requests: heard before any filter or firewall, and sent.

A tap sees what arrives on an interface before tc, nftables and rp_filter do (packet(7), ETH_P_ALL). So a
message is heard on the interface on which it arrived, whatever the host's rules are. Anybody can send what
looks like a message: whoever reads one checks its MAC.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from array import array

from .messages import MAGIC, PROBE, ROUTE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Optional

__all__ = ["Sender", "Tap", "echo_request", "parse_packet"]

_ETH_P_ALL = 0x0003  # linux/if_ether.h
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_SOL_RAW, _ICMP_FILTER = 255, 1  # linux/socket.h, linux/icmp.h
# Messages that are taken from an interface at once, and bytes of each: a flood must not keep the reader.
_MOST = 512
_SIZE = 256

_IPV4_PLAIN = (
    0x45  # version 4, 20 bytes of header: filters of tc, too, know our messages without options alone
)
_ICMP = 1
_ECHO_REQUEST = 0x0800  # type and code
_FRAGMENT = 0x3FFF  # more fragments, or an offset
_ECHO = struct.Struct("!HHHH")  # type and code, checksum, identifier, sequence (RFC 792)
_PAYLOAD = 28

# linux/bpf_common.h, linux/filter.h
_WORD, _HALF, _BYTE = 0x20, 0x28, 0x30  # BPF_LD | BPF_ABS
_EQUAL, _RETURN = 0x15, 0x06  # BPF_JMP | BPF_JEQ; BPF_RET
_PROTOCOL, _PACKET_TYPE = 0xFFFFF000, 0xFFFFF004  # SKF_AD_OFF + SKF_AD_PROTOCOL, SKF_AD_PKTTYPE
_INSTRUCTION = struct.Struct("=HBBI")


class Tap:
    """Hears the messages to some IPv4 addresses on interfaces, which may come, go and be made anew."""

    def __init__(self, interfaces: Sequence[str], addresses: Sequence[str]) -> None:
        """Listen on those interfaces that exist, for messages to one of the `addresses`. Raises `OSError`."""
        self._addresses = tuple(addresses)
        self._heard: dict[str, Optional[socket.socket]] = dict.fromkeys(interfaces)
        self._indices: dict[str, int] = dict.fromkeys(interfaces, 0)
        self.reopen_if_changed()

    def filenos(self) -> list[int]:
        """Return what `select` can wait for; other ones after `reopen_if_changed`."""
        return [heard.fileno() for heard in self._heard.values() if heard is not None]

    def read(self) -> Iterator[tuple[str, str, bytes]]:
        """Return what has arrived: interface, source address, payload."""
        for interface, heard in self._heard.items():
            for raw in _arrived(heard) if heard is not None else ():
                found = parse_packet(raw)
                if found is not None:
                    yield (interface, *found)

    def reopen_if_changed(self) -> bool:
        """Listen anew where an interface has come, gone or been made anew; tells whether one has.

        Raises `OSError`.
        """
        indices = {interface: _index(interface) for interface in self._heard}
        changed = [each for each, index in indices.items() if index != self._indices[each]]
        for interface in changed:
            self._close(interface)
            self._heard[interface] = _listen(interface, self._addresses) if indices[interface] else None
            self._indices[interface] = indices[interface]
        return bool(changed)

    def close(self) -> None:
        """Hear nothing any more."""
        for interface in self._heard:
            self._close(interface)

    def _close(self, interface: str) -> None:
        heard, self._heard[interface] = self._heard[interface], None
        if heard is not None:
            heard.close()


def _index(interface: str) -> int:
    """Return the number that the kernel gave an interface; 0 where there is none."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return 0


def _listen(interface: str, addresses: Sequence[str]) -> Optional[socket.socket]:
    # Without a protocol the socket hears nothing until the filter is there. SOCK_DGRAM leaves out what is
    # before the IP header: on Ethernet packets look as on WireGuard.
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    try:
        program = array("B", _program(addresses))
        place, size = program.buffer_info()
        heard.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", size // _INSTRUCTION.size, place)
        )
        heard.bind((interface, _ETH_P_ALL))
    except OSError:
        heard.close()
        if _index(interface) == 0:  # it went away meanwhile
            return None
        raise
    return heard


def _program(addresses: Sequence[str]) -> bytes:
    """Return the filter: messages to one of these addresses, but for those that leave from here."""
    wanted = [int.from_bytes(socket.inet_aton(address), "big") for address in addresses]
    checks = (
        (_HALF, _PROTOCOL, [0x0800]),  # ETH_P_IP
        (_BYTE, 0, [_IPV4_PLAIN]),
        (_BYTE, 9, [_ICMP]),
        (_WORD, 16, wanted),
        (_HALF, 20, [_ECHO_REQUEST]),
        (_WORD, _PAYLOAD, [int.from_bytes(MAGIC[:4], "big")]),
        (_WORD, _PAYLOAD + 4, [int.from_bytes(MAGIC[4:], "big")]),
    )
    end = 2 + sum(1 + len(values) for _, _, values in checks) + 4  # the last step, which drops the packet
    program = [_step(_BYTE, _PACKET_TYPE), _step(_EQUAL, socket.PACKET_OUTGOING, yes=end - 2)]
    for load, place, values in checks:
        program.append(_step(load, place))
        program += [_step(_EQUAL, each, yes=len(values) - at) for at, each in enumerate(values[:-1], start=1)]
        program.append(_step(_EQUAL, values[-1], no=end - len(program) - 1))
    program += [_step(_HALF, 24), _step(_EQUAL, ROUTE, yes=1), _step(_EQUAL, PROBE, no=1)]
    return b"".join([*program, _step(_RETURN, _SIZE), _step(_RETURN, 0)])


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return _INSTRUCTION.pack(code, yes, no, value)


def _arrived(heard: socket.socket) -> Iterator[bytes]:
    """Return the packets that wait; an interface that is down or gone has none."""
    with contextlib.suppress(OSError):
        for _ in range(_MOST):
            yield heard.recv(_SIZE)


def parse_packet(raw: bytes) -> Optional[tuple[str, bytes]]:
    """Return source address and payload of a message that has come whole; None for anything else. Pure."""
    if len(raw) < _PAYLOAD + len(MAGIC) or raw[0] != _IPV4_PLAIN or raw[9] != _ICMP:
        return None
    length, fragment = int.from_bytes(raw[2:4], "big"), int.from_bytes(raw[6:8], "big")
    kind, _sum, identifier, _sequence = _ECHO.unpack_from(raw, _PAYLOAD - _ECHO.size)
    if length > len(raw) or fragment & _FRAGMENT or kind != _ECHO_REQUEST or identifier not in (ROUTE, PROBE):
        return None
    payload = raw[_PAYLOAD:length]  # Ethernet fills short packets up
    return (socket.inet_ntoa(raw[12:16]), payload) if payload.startswith(MAGIC) else None


class Sender:
    """Sends messages; keeps a socket for each source address and interface."""

    def __init__(self) -> None:
        self._sockets: dict[tuple[str, Optional[str]], socket.socket] = {}

    def send(
        self,
        payload: bytes,
        *,
        source: str,
        to: str,
        identifier: int,
        sequence: int,
        interface: Optional[str],
    ) -> Optional[str]:
        """Send a message, over `interface` where one is given, else by the host's routes.

        Returns why it was not sent, in words of the kernel; None where it was. The next one is tried anew.
        """
        way = (source, interface)
        try:
            if way not in self._sockets:
                self._sockets[way] = _raw_socket(source, interface)
            self._sockets[way].sendto(echo_request(identifier, sequence, payload), (to, 0))
        except OSError as error:
            # Bound to an interface that was made anew, or to an address that came back, perhaps.
            stale = self._sockets.pop(way, None)
            if stale is not None:
                stale.close()
            return error.strerror or str(error)
        return None

    def close(self) -> None:
        """Close the sockets."""
        for each in self._sockets.values():
            each.close()
        self._sockets.clear()


def _raw_socket(source: str, interface: Optional[str]) -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    made = socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)
    try:
        # Answers of the other kernels need no room here.
        made.setsockopt(_SOL_RAW, _ICMP_FILTER, b"\xff" * 4)
        if interface is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        made.bind((source, 0))
    except OSError:
        made.close()
        raise
    return made


def echo_request(identifier: int, sequence: int, payload: bytes) -> bytes:
    """Return an ICMP echo request with its checksum (RFC 792, RFC 1071). Pure."""
    blank = _ECHO.pack(_ECHO_REQUEST, 0, identifier, sequence) + payload
    return blank[:2] + _checksum(blank).to_bytes(2, "big") + blank[4:]


def _checksum(raw: bytes) -> int:
    padded = raw + b"\0" * (len(raw) % 2)
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
