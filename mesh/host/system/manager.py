"""systemd, asked over its own socket as `systemctl` does for root, without a process for each question.

The messages are those of the D-Bus specification; the methods are described in org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time

from ..answers import AgentError, Answer
from .run import time_limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import TracebackType
    from typing import Any, Optional

__all__ = ["Manager", "pack", "unpack"]

_SOCKET = "/run/systemd/private"
_NAME = "org.freedesktop.systemd1"
_OBJECT = "/org/freedesktop/systemd1"
_CALL, _RETURN, _ERROR, _SIGNAL = 1, 2, 3, 4
_PATH, _INTERFACE, _MEMBER, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 5, 6, 8
# Byte order, type, flags, version, size of the body, serial number, fields; the body is aligned to 8 bytes.
_HEADER = "(yyyyuua(yv))"
_ORDER = {"little": "l", "big": "B"}[sys.byteorder]
_BEGINNING = 16  # bytes of a header up to its fields, whose size comes last
_FIXED = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "h": "I", "x": "q", "t": "Q", "d": "d"}
_ALIGNED = {"s": 4, "o": 4, "g": 1, "v": 1, "a": 4, "(": 8, "{": 8}
_MOST = 1 << 16


def _alignment(kind: str) -> int:
    head = kind[0]
    return struct.calcsize(_FIXED[head]) if head in _FIXED else _ALIGNED[head]


def _kinds(signature: str) -> Iterator[str]:
    """Yield the complete types of a signature. Pure."""
    start = depth = 0
    for place, char in enumerate(signature):
        depth += (char in "({") - (char in ")}")
        if depth == 0 and char != "a":
            yield signature[start : place + 1]
            start = place + 1


def pack(out: bytearray, kind: str, value: Any) -> None:
    """Append a value of one complete type; that of a variant is a pair of its type and its value."""
    out += bytes(-len(out) % _alignment(kind))
    if kind in _FIXED:
        out += struct.pack(f"={_FIXED[kind]}", value)
    elif kind in "sog":
        raw = value.encode()
        out += struct.pack("=B" if kind == "g" else "=I", len(raw)) + raw + b"\0"
    elif kind == "v":
        pack(out, "g", value[0])
        pack(out, value[0], value[1])
    elif kind[0] == "a":
        place = len(out)
        out += bytes(4)
        out += bytes(-len(out) % _alignment(kind[1:]))
        start = len(out)
        for each in value:
            pack(out, kind[1:], each)
        out[place : place + 4] = struct.pack("=I", len(out) - start)
    else:
        for inner, each in zip(_kinds(kind[1:-1]), value):
            pack(out, inner, each)


def unpack(raw: bytes, place: int, kind: str) -> tuple[Any, int]:
    """Return the value of one complete type that begins at a place, and where it ends. Pure.

    A variant's is that of its value.
    """
    place += -place % _alignment(kind)
    if kind in _FIXED:
        return struct.unpack_from(f"={_FIXED[kind]}", raw, place)[0], place + struct.calcsize(_FIXED[kind])
    if kind in "sog":
        head = struct.Struct("=B" if kind == "g" else "=I")
        start = place + head.size
        end = start + head.unpack_from(raw, place)[0]
        return raw[start:end].decode(errors="replace"), end + 1
    if kind == "v":
        inner, place = unpack(raw, place, "g")
        return unpack(raw, place, inner)
    found = []
    if kind[0] == "a":
        size, place = unpack(raw, place, "u")
        place += -place % _alignment(kind[1:])
        end = place + size
        while place < end:
            each, place = unpack(raw, place, kind[1:])
            found.append(each)
        return found, place
    for inner in _kinds(kind[1:-1]):
        each, place = unpack(raw, place, inner)
        found.append(each)
    return tuple(found), place


class Manager:
    """A connection to systemd, for a few questions in a row: whoever holds one is told of all that happens.

    Every method raises `AgentError` (FAILED), also where systemd hangs: all of them together have the time of
    a tool, or `timeout` seconds.
    """

    def __init__(self, *, timeout: Optional[float] = None) -> None:
        self._seconds = time_limit(timeout)
        self._end = time.monotonic() + self._seconds
        self._serial = 0
        self._jobs: dict[str, str] = {}
        self._held = b""

    def __enter__(self) -> Manager:  # noqa: PYI034 - Python 3.9 has no `Self`
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._connect()
        except OSError as error:
            self._socket.close()
            raise AgentError(Answer.FAILED, f"systemd cannot be asked: {error.strerror or error}") from None
        except AgentError:
            self._socket.close()
            raise
        return self

    def _connect(self) -> None:
        self._socket.settimeout(self._seconds)
        self._socket.connect(_SOCKET)
        self._socket.sendall(b"\0AUTH EXTERNAL %s\r\nBEGIN\r\n" % str(os.getuid()).encode().hex().encode())
        while b"\r\n" not in self._held:
            self._receive()
        said, _, self._held = self._held.partition(b"\r\n")
        if not said.startswith(b"OK "):
            raise OSError(said[:80].decode(errors="replace"))

    def __exit__(
        self, _kind: Optional[type[BaseException]], _error: object, _trace: Optional[TracebackType]
    ) -> None:
        self._socket.close()

    def call(
        self, member: str, signature: str = "", *values: Any, path: str = _OBJECT, interface: str = ""
    ) -> tuple[Any, ...]:
        """Call a method of the manager, or of another object and interface; returns what it returns."""
        body = bytearray()
        for each, value in zip(_kinds(signature), values):
            pack(body, each, value)
        fields = [
            (_PATH, ("o", path)),
            (_INTERFACE, ("s", interface or f"{_NAME}.Manager")),
            (_MEMBER, ("s", member)),
            (_DESTINATION, ("s", _NAME)),
            *([(_SIGNATURE, ("g", signature))] if signature else []),
        ]
        self._serial += 1
        message = bytearray()
        pack(message, _HEADER, (ord(_ORDER), _CALL, 0, 1, len(body), self._serial, fields))
        message += bytes(-len(message) % 8) + body
        try:
            self._socket.sendall(message)
            while True:
                kind, told, returned = self._next()
                if told.get(_REPLY_SERIAL) == self._serial and kind in (_RETURN, _ERROR):
                    break
        except OSError as error:
            raise AgentError(Answer.FAILED, f"systemd did not answer: {error.strerror or error}") from None
        if kind == _ERROR:
            raise AgentError(Answer.FAILED, f"systemd: {member} failed: {(*returned, '')[0]}")
        return returned

    def finish(self, jobs: Collection[str]) -> list[str]:
        """Wait until these jobs have ended; returns how each did: `done`, `failed`, `timeout`..."""
        try:
            while not self._jobs.keys() >= {*jobs}:
                self._next()
        except OSError as error:
            raise AgentError(Answer.FAILED, f"systemd did not answer: {error.strerror or error}") from None
        return [self._jobs[job] for job in jobs]

    def _next(self) -> tuple[int, dict[int, Any], tuple[Any, ...]]:
        """Return the next message: its type, fields and body; notes the end of a job. Raises `OSError`."""
        fields_size = struct.unpack_from("=I", self._peek(_BEGINNING), _BEGINNING - 4)[0]
        start = _BEGINNING + fields_size + -fields_size % 8
        header, _place = unpack(self._peek(start), 0, _HEADER)
        _order, kind, _flags, _version, size, _serial, fields = header
        message = self._peek(start + size)
        self._held = self._held[start + size :]
        told = dict(fields)
        if kind == _SIGNAL and told.get(_MEMBER) != "JobRemoved":  # most of what is told is long and no news
            return kind, told, ()
        body, _place = unpack(message[start:], 0, f"({told.get(_SIGNATURE, '')})")
        if kind == _SIGNAL:
            self._jobs[body[1]] = body[3]
        return kind, told, body

    def _peek(self, size: int) -> bytes:
        while len(self._held) < size:
            self._receive()
        return self._held[:size]

    def _receive(self) -> None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"not within {self._seconds:.0f} s")
        self._socket.settimeout(left)
        try:
            raw = self._socket.recv(_MOST)
        except socket.timeout:  # which is no `TimeoutError` before Python 3.10
            raise TimeoutError(f"not within {self._seconds:.0f} s") from None
        if not raw:
            raise ConnectionError("the connection was closed")
        self._held += raw
