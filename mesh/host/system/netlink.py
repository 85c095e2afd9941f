"""What the kernel sends by netlink; of nftables: who changed the ruleset, which rule ended a packet's way."""

from __future__ import annotations

import contextlib
import os
import socket
import struct

from ..records import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Optional

__all__ = [
    "HEADER",
    "NETFILTER",
    "NFTABLES",
    "Message",
    "aligned",
    "ask",
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
_SOL_NETLINK, _GET_STRICT_CHK = 270, 12
_REQUEST, _DUMP, _DUMP_INTERRUPTED = 0x1, 0x300, 0x10
_ERROR, _DONE = 2, 3
_CODE = struct.Struct("=i")
# Enough for any message: the kernel makes none of more than 32 kB for this much room.
_MOST = 1 << 16
# Seconds; the kernel answers at once.
_TIMEOUT = 10.0
# A listing that changed under way is asked for again.
_TRIES = 5
_FAMILY = struct.Struct("=BBH")  # family, version, resource
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF
_BUFFER = 1 << 20


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


def _any(_payload: bytes) -> bool:
    return True


def ask(
    socket_kind: int, kind: int, body: bytes, *, dump: bool = True, keep: Callable[[bytes], bool] = _any
) -> list[tuple[int, bytes]]:
    """Ask the kernel for a listing, or with `dump=False` for one thing; returns type and payload of answers.

    Only of those worth keeping. A listing that changed under way is asked for again. Raises
    `InterruptedError` where it changes all the time, and any other `OSError` that the kernel answers with.
    """
    for _try in range(_TRIES):
        found, whole = _answers(socket_kind, kind, body, dump=dump, keep=keep)
        if whole:
            return found
    raise InterruptedError


def _answers(
    socket_kind: int, kind: int, body: bytes, *, dump: bool, keep: Callable[[bytes], bool]
) -> tuple[list[tuple[int, bytes]], bool]:
    """Ask once; also returns whether nothing changed meanwhile. Raises `OSError`."""
    found: list[tuple[int, bytes]] = []
    whole = True
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket_kind) as kernel:
        kernel.settimeout(_TIMEOUT)
        with contextlib.suppress(OSError):  # before Linux 4.20 the kernel tells more than it was asked for
            kernel.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
        flags = _REQUEST | (_DUMP if dump else 0)
        kernel.send(HEADER.pack(HEADER.size + len(body), kind, flags, 1, 0) + body)
        while True:
            for answer, told, payload in parts(kernel.recv(_MOST)):
                whole = whole and not told & _DUMP_INTERRUPTED
                if answer in (_ERROR, _DONE):
                    code = -_CODE.unpack_from(payload)[0] if len(payload) >= _CODE.size else 0
                    if code:
                        raise OSError(code, os.strerror(code))
                    return found, whole
                if keep(payload):
                    found.append((answer, payload))
                if not dump:
                    return found, whole


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
