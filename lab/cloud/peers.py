"""Who is at the other end of a connection of this machine: the kernel's tables of TCP sockets say it.

https://docs.kernel.org/networking/proc_net_tcp.html
"""

import os
import pwd
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

__all__ = ["allowed_users", "name_of", "owner"]

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LOCAL, _REMOTE, _UID, _INODE = 1, 2, 7, 9  # fields of a line
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"  # RFC 4291, 2.5.5.2: IPv4 through a socket of IPv6

Address = tuple[str, int]


def allowed_users(environment: Mapping[str, str]) -> frozenset[int]:
    """Return root and the user who started this process, also through sudo."""
    caller = environment.get("SUDO_UID", "") if os.geteuid() == 0 else ""
    return frozenset({0, os.getuid(), int(caller)} if caller.isdecimal() else {0, os.getuid()})


def owner(client: Address, server: Address) -> int | None:
    """Return the user whose socket is the client's end of a connection; None when it is open no more.

    A closed socket has no inode, and its user reads as root: it is nobody's.
    """
    for table, pair in zip(_TABLES, _pairs(client, server), strict=True):
        try:
            lines = table.read_text().splitlines()[1:]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for line in lines:
            fields = line.split()
            if (fields[_LOCAL], fields[_REMOTE]) == pair and fields[_INODE] != "0":
                return int(fields[_UID])
    return None


def name_of(user: int) -> str:
    """Return a user's name, or else number."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _pairs(client: Address, server: Address) -> Iterator[tuple[str, str]]:
    """Return both ends as the table of IPv4 has them, and as that of IPv6."""
    for prefix in (b"", _MAPPED):
        yield _written(prefix, client), _written(prefix, server)


def _written(prefix: bytes, address: Address) -> str:
    raw = prefix + socket.inet_aton(address[0])
    words = (int.from_bytes(raw[start : start + 4], sys.byteorder) for start in range(0, len(raw), 4))
    return f"{''.join(f'{word:08X}' for word in words)}:{address[1]:04X}"
