"""What the kernel sends by netlink; of nftables: who changed the ruleset, which rule ended a packet's way."""

from __future__ import annotations

import socket
import struct

from ..records import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Optional

__all__ = [
    "HEADER",
    "NETFILTER",
    "NFTABLES",
    "Message",
    "aligned",
    "attributes",
    "changes",
    "message",
    "messages",
    "parts",
    "text",
    "traces",
]

# linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
HEADER = struct.Struct("=IHHII")
"""What each message begins with: its length in bytes, its type, flags, sequence number, port."""
NETFILTER = 12
"""The kind of socket."""
_GROUP_TABLES, _GROUP_TRACE = 7, 9
NFTABLES = 10
"""Which part of netfilter a message is about: the upper half of its type."""
_FAMILY = struct.Struct("=BBH")  # family, version, resource
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF
_BUFFER = 1 << 20
_MOST = 1 << 16


@dataclass(frozen=True)
class Message:
    """One message of nftables: its type (NFT_MSG_*), the family of its table, its attributes by number."""

    kind: int
    family: int
    attributes: Mapping[int, bytes]


def changes() -> socket.socket:
    """Return a socket that hears of every change of this network namespace's ruleset. Raises `OSError`."""
    return _listen(_GROUP_TABLES)


def traces() -> socket.socket:
    """Return a socket that hears of every rule that a traced packet meets. Raises `OSError`."""
    return _listen(_GROUP_TRACE)


def _listen(group: int) -> socket.socket:
    heard = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETFILTER)
    heard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    heard.bind((0, 1 << (group - 1)))
    heard.setblocking(False)
    return heard


def messages(heard: socket.socket) -> Iterator[Message]:
    """Return what has arrived. Raises `OSError` (ENOBUFS) when some of it was lost."""
    while True:
        try:
            raw = heard.recv(_MOST)
        except BlockingIOError:
            return
        yield from _parsed(raw)


def _parsed(raw: bytes) -> Iterator[Message]:
    for kind, _flags, payload in parts(raw):
        if kind >> 8 == NFTABLES and len(payload) >= _FAMILY.size:
            yield message(kind, payload)


def message(kind: int, payload: bytes) -> Message:
    """Return a message of nftables from its type and what follows the header. Pure."""
    family, _version, _resource = _FAMILY.unpack_from(payload)
    return Message(kind & 0xFF, family, attributes(payload[_FAMILY.size :]))


def parts(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the messages of what has arrived at once: type, flags, and what follows the header. Pure."""
    place = 0
    while len(raw) - place >= HEADER.size:
        length, kind, flags, _sequence, _port = HEADER.unpack_from(raw, place)
        if length < HEADER.size:
            return
        yield kind, flags, raw[place + HEADER.size : place + length]
        place += aligned(length)


def attributes(raw: bytes) -> dict[int, bytes]:
    """Return attributes by number. Pure."""
    found = {}
    while len(raw) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(raw)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _TYPE_MASK] = raw[_ATTRIBUTE.size : length]
        raw = raw[aligned(length) :]
    return found


def aligned(length: int) -> int:
    """Return the bytes that a message or an attribute of this length takes up. Pure."""
    return (length + 3) & ~3


def text(value: Optional[bytes]) -> str:
    """Return an attribute that is a string. Pure."""
    return (value or b"").rstrip(b"\0").decode(errors="replace")
