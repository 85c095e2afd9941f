"""Pure: what two rotators say to each other, as bytes that only a node with the pair's next keys can make."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import struct
from enum import IntEnum

from ..files.wgconf import key_bytes
from ..records import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

__all__ = [
    "HAS_BACK",
    "HEARD_MOVED",
    "HEARS_NEW",
    "HEARS_NEXT",
    "MAGIC",
    "PROBE",
    "ROUTE",
    "SIZE",
    "Kind",
    "Message",
    "Way",
    "decode",
    "encode",
    "key_of",
]

HEARS_NEXT, HEARS_NEW, HEARD_MOVED, HAS_BACK = 1, 2, 4, 8
"""What the sender has heard of the receiver, bit by bit.

Lately, words on wg0-next, or on wg0 with the next keys; at any time since the sender started, that the
receiver sends by wg0-next; and, kept on the sender's disk, that the receiver sends by wg0 again.
"""

MAGIC = b"wgmeshR1"
"""What each message begins with."""

ROUTE, PROBE = 0x5767, 0x5768
"""ICMP identifiers: of a message that takes the way of all packets, and of one bound to an interface."""

_HEAD = struct.Struct(">8sBBBBQ")
_MAC = 16
_PERSON = b"wgmesh-rotate"

SIZE = _HEAD.size + _MAC
"""Bytes of a message."""


class Way(IntEnum):
    """How packets go: by wg0 with the keys before, by wg0-next, by wg0 with the next keys; never back."""

    OLD = 0
    NEXT = 1
    NEW = 2


class Kind(IntEnum):
    """ROUTE goes as all packets to this peer do; PROBE is bound to an interface that they may not use yet."""

    ROUTE = 0
    PROBE = 1


@dataclass(frozen=True)
class Message:
    """A word: the way it takes, its sender's route to the receiver, and what the sender hears.

    `stamp` is the sender's monotonic clock in nanoseconds, so that no two messages are the same.
    """

    kind: Kind
    way: Way
    route: Way
    hears: int
    stamp: int


def key_of(one: str, other: str, preshared: Optional[str]) -> bytes:
    """Return the key of a pair's messages: of the public keys of both, in any order, and the pre-shared key.

    All three are the next ones, in base64: the messages of each rotation have a key of their own. Without a
    pre-shared key whoever knows the public keys can speak for a peer. Raises `ValueError`.
    """
    ends = b"".join(sorted((key_bytes(one), key_bytes(other))))
    secret = key_bytes(preshared) if preshared else b""
    return hashlib.blake2b(ends, digest_size=32, key=secret, person=_PERSON).digest()


def encode(message: Message, *, key: bytes, source: str) -> bytes:
    """Return the bytes of a message; `source` is the sender's overlay address (IPv4)."""
    head = _HEAD.pack(MAGIC, message.kind, message.way, message.route, message.hears, message.stamp)
    return head + _mac(head, key, source)


def decode(payload: bytes, *, key: bytes, source: str) -> Optional[Message]:
    """Return the message from `source` (IPv4); None of bytes that no holder of the key sent from there."""
    head, mac = payload[: _HEAD.size], payload[_HEAD.size :]
    if len(payload) != SIZE or not hmac.compare_digest(mac, _mac(head, key, source)):
        return None
    magic, kind, way, route, hears, stamp = _HEAD.unpack(head)
    try:
        message = Message(Kind(kind), Way(way), Way(route), hears, stamp)
    except ValueError:
        return None
    return message if magic == MAGIC and hears < 2 * HAS_BACK else None


def _mac(head: bytes, key: bytes, source: str) -> bytes:
    return hashlib.blake2b(head + ipaddress.IPv4Address(source).packed, digest_size=_MAC, key=key).digest()
