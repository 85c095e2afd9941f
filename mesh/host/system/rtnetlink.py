"""Interfaces, addresses and routes as the kernel tells of them, without a process for each question.

An entry has the keys and the values that `ip -j` prints, as far as the agent asks for them.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct

from ..answers import AgentError, Answer
from .netlink import aligned, ask, attributes, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Optional

    Entry = dict[str, Any]
else:
    Entry = dict

__all__ = ["Entry", "addresses", "default_routes", "link_kind", "routes"]

# linux/netlink.h
_NETLINK_ROUTE = 0
_NUMBER = struct.Struct("=I")
# linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change
_IFNAME, _MTU, _LINKINFO, _INFO_KIND = 3, 4, 18, 1
_UP = 0x1
_ADDRESS = struct.Struct("=BBBBI")  # family, length, flags, scope, index
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
# family, length, length of the source, tos, table, protocol, scope, type, flags
_ROUTE = struct.Struct("=BBBBBBBBI")
_CLONED = 0x200
_MAIN = 254
_DST, _OIF, _GATEWAY, _PRIORITY, _SOURCE, _METRICS, _MULTIPATH = 1, 4, 5, 6, 7, 8, 9
_METRICS_MTU = 2
_NEXT_HOP = struct.Struct("=HBBi")  # length, flags, hops, index
_MAKERS = {0: "unspec", 2: "kernel", 3: "boot", 4: "static"}

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def addresses(name: Optional[str] = None) -> list[Entry]:
    """Return what `ip -j address show` prints, of one interface or of all; nothing where it is not there.

    Keys: `ifname`, `flags` (`UP` alone), `mtu` in bytes and `addr_info`, whose entries have `family`,
    `local`, `prefixlen`, `scope`, and `address` where the other end is another one. Raises `AgentError`.
    """
    found = {index: entry for index, entry, _kind in _links(name)}
    if not found:
        return []
    wanted = 0 if name is None else next(iter(found))
    for family, word in ((socket.AF_INET, "inet"), (socket.AF_INET6, "inet6")):
        for payload in _ask(_GETADDR, _ADDRESS.pack(family, 0, 0, 0, wanted), dump=True):
            theirs, length, _flags, scope, index = _ADDRESS.unpack_from(payload)
            if theirs != family or index not in found:
                continue
            told = attributes(payload[_ADDRESS.size :])
            local = told.get(_IFA_LOCAL, told.get(_IFA_ADDRESS, b""))
            other = told.get(_IFA_ADDRESS, local)
            info = {"family": word, "local": socket.inet_ntop(family, local), "prefixlen": length}
            if other != local:
                info["address"] = socket.inet_ntop(family, other)
            found[index]["addr_info"].append({**info, "scope": _SCOPES.get(scope, str(scope))})
    return list(found.values())


def link_kind(name: str) -> Optional[str]:
    """Return what kind of interface it is, as the kernel calls it: `bridge`, `wireguard`, `tun`...

    Empty for one without a kind, such as a network card; None where it is not there. Raises `AgentError`.
    """
    return next((kind for _index, _entry, kind in _links(name)), None)


def routes(version: int, name: str) -> list[Entry]:
    """Return what `ip -j -4 route show dev NAME` prints, or -6; nothing where there is no such interface.

    Keys: `dst`, `protocol` (`boot`, `kernel`, `static`, of all others the number), and where the route has
    them `gateway`, `prefsrc`, `metric`, and `metrics` with the `mtu` in bytes. Raises `AgentError`.
    """
    return [
        entry
        for index, _entry, _kind in _links(name)
        for payload in _of_main(version, index)
        for entry in [_route(version, payload, index)]
        if entry is not None
    ]


def default_routes(version: int) -> list[str]:
    """Return the interfaces of all default routes, those of one with several ways included.

    Raises `AgentError`.
    """
    found: list[int] = []
    for payload in _of_main(version, 0, keep=_is_default):
        told = attributes(payload[_ROUTE.size :])
        found += [_number(told[_OIF])] if _OIF in told else list(_ways(told.get(_MULTIPATH, b"")))
    return [name for index in dict.fromkeys(found) for name in [_name(index)] if name]


def _is_default(payload: bytes) -> bool:
    return payload[1] == 0


def _name(index: int) -> str:
    with contextlib.suppress(OSError):
        return socket.if_indextoname(index)
    return ""  # it went away


def _ways(raw: bytes) -> Iterator[int]:
    """Yield the index of the interface of each way of a route that has several."""
    while len(raw) >= _NEXT_HOP.size:
        length, _flags, _hops, index = _NEXT_HOP.unpack_from(raw)
        if length < _NEXT_HOP.size:
            return
        yield index
        raw = raw[aligned(length) :]


def _links(name: Optional[str]) -> Iterator[tuple[int, Entry, str]]:
    """Yield index, entry without addresses, and kind of one interface or of all."""
    wanted = b"" if name is None else _attribute(_IFNAME, f"{name}\0".encode())
    for payload in _ask(_GETLINK, _LINK.pack(0, 0, 0, 0, 0) + wanted, dump=name is None):
        _family, _type, index, flags, _change = _LINK.unpack_from(payload)
        told = attributes(payload[_LINK.size :])
        entry: Entry = {
            "ifname": text(told.get(_IFNAME)),
            "flags": ["UP"] if flags & _UP else [],
            "mtu": _number(told[_MTU]),
            "addr_info": [],
        }
        yield index, entry, text(attributes(told.get(_LINKINFO, b"")).get(_INFO_KIND))


def _any(_payload: bytes) -> bool:
    return True


def _of_main(version: int, index: int, keep: Callable[[bytes], bool] = _any) -> Iterator[bytes]:
    """Yield the routes of the main table, of one interface alone where the kernel is able to choose."""
    family = _FAMILIES[version]
    wanted = _attribute(_OIF, _NUMBER.pack(index)) if index else b""
    body = _ROUTE.pack(family, 0, 0, 0, _MAIN, 0, 0, 0, 0) + wanted
    for payload in _ask(_GETROUTE, body, dump=True, keep=keep):
        if payload[0] == family and payload[4] == _MAIN and not _ROUTE.unpack_from(payload)[-1] & _CLONED:
            yield payload


def _route(version: int, payload: bytes, index: int) -> Optional[Entry]:
    _family, length, _source, _tos, _table, maker, _scope, _type, _flags = _ROUTE.unpack_from(payload)
    told = attributes(payload[_ROUTE.size :])
    if _number(told.get(_OIF)) != index:
        return None
    there = told.get(_DST)
    destination = "default" if there is None else f"{socket.inet_ntop(_FAMILIES[version], there)}/{length}"
    entry: Entry = {"dst": destination, "protocol": _MAKERS.get(maker, str(maker))}
    for key, kind in (("gateway", _GATEWAY), ("prefsrc", _SOURCE)):
        if kind in told:
            entry[key] = socket.inet_ntop(_FAMILIES[version], told[kind])
    if _PRIORITY in told:
        entry["metric"] = _number(told[_PRIORITY])
    size = attributes(told.get(_METRICS, b"")).get(_METRICS_MTU)
    if size is not None:
        entry["metrics"] = [{"mtu": _number(size)}]
    return entry


def _number(value: Optional[bytes]) -> int:
    return int(_NUMBER.unpack(value)[0]) if value else 0


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(aligned(len(value)) - len(value))


def _ask(kind: int, body: bytes, *, dump: bool, keep: Callable[[bytes], bool] = _any) -> list[bytes]:
    """Return what follows the header of the answers worth keeping: of a host's million routes, few are.

    Nothing where an interface or a table is not there. Raises `AgentError`.
    """
    try:
        found = ask(_NETLINK_ROUTE, kind, body, dump=dump, keep=keep)
    except InterruptedError:
        raise AgentError(Answer.FAILED, "interfaces or routes change all the time: try again") from None
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.ENOENT):
            return []
        why = error.strerror or error
        raise AgentError(Answer.FAILED, f"the kernel does not tell of its network: {why}") from None
    return [payload for _type, payload in found]
