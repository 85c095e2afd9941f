"""What gets through to a node: ports, types of ICMP, other protocols; with the words for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from mesh.review.ranges import Ranges, intersected, subtracted, united

__all__ = ["EVERYTHING", "NOTHING", "Traffic"]

_PORTS: Final[Ranges] = ((0, 65535),)
# Of ICMP, one octet: without errors and announcements (RFC 792: 3, 11, 12; RFC 4443: 1-4; RFC 4861: 133-136).
_TYPES: Final[Ranges] = ((0, 0), (5, 10), (13, 132), (137, 255))
_OTHER: Final[Ranges] = ((0, 0),)
ECHO_REQUEST: Final = 8
"""The type of a ping, RFC 792; that of ICMPv6 (128, RFC 4443) is counted as this one, too."""
_MANY: Final = 32768
"""A protocol with more ports than this is told by those that are missing."""


@dataclass(frozen=True)
class Traffic:
    """A set of packets that begin something: by TCP port, UDP port, type of ICMP; `other` is all else."""

    tcp: Ranges = ()
    udp: Ranges = ()
    icmp: Ranges = ()
    other: Ranges = ()

    def __bool__(self) -> bool:
        return bool(self.tcp or self.udp or self.icmp or self.other)

    def __and__(self, with_: "Traffic") -> "Traffic":
        return Traffic(
            intersected(self.tcp, with_.tcp),
            intersected(self.udp, with_.udp),
            intersected(self.icmp, with_.icmp),
            intersected(self.other, with_.other),
        )

    def __or__(self, with_: "Traffic") -> "Traffic":
        return Traffic(
            united(self.tcp, with_.tcp),
            united(self.udp, with_.udp),
            united(self.icmp, with_.icmp),
            united(self.other, with_.other),
        )

    def __sub__(self, without: "Traffic") -> "Traffic":
        return Traffic(
            subtracted(self.tcp, without.tcp),
            subtracted(self.udp, without.udp),
            subtracted(self.icmp, without.icmp),
            subtracted(self.other, without.other),
        )

    def lets(self, protocol: Literal["tcp", "udp"], port: int) -> bool:
        """Whether a port is in it."""
        return any(first <= port <= last for first, last in (self.tcp if protocol == "tcp" else self.udp))

    def __str__(self) -> str:
        missing = EVERYTHING - self
        if not missing:
            return "everything"
        if self.other and _count(missing.tcp) + _count(missing.udp) < _MANY:
            return f"everything but {', '.join(_words(missing))}"
        return ", ".join(_words(self)) or "nothing"


NOTHING: Final = Traffic()
EVERYTHING: Final = Traffic(_PORTS, _PORTS, _TYPES, _OTHER)


def _words(traffic: Traffic) -> Iterator[str]:
    yield from _ports("tcp", traffic.tcp)
    yield from _ports("udp", traffic.udp)
    if traffic.icmp == ((ECHO_REQUEST, ECHO_REQUEST),):
        yield "ping"
    elif traffic.icmp == _TYPES:
        yield "ICMP"
    elif traffic.icmp:
        missing = subtracted(_TYPES, traffic.icmp)
        few = _count(missing) < _count(traffic.icmp)
        yield "ICMP but ping" if few and _is_ping(missing) else "some types of ICMP"
    if traffic.other:
        yield "other protocols"


def _is_ping(types: Ranges) -> bool:
    return types == ((ECHO_REQUEST, ECHO_REQUEST),)


def _ports(protocol: str, ports: Ranges) -> Iterator[str]:
    missing = subtracted(_PORTS, ports)
    if not missing:
        yield f"all of {protocol.upper()}"
    elif _count(ports) > _MANY:
        yield f"all of {protocol.upper()} but {', '.join(_range(each) for each in missing)}"
    else:
        yield from (f"{protocol}/{_range(each)}" for each in ports)


def _range(pair: tuple[int, int]) -> str:
    first, last = pair
    return str(first) if first == last else f"{first}-{last}"


def _count(found: Ranges) -> int:
    return sum(last - first + 1 for first, last in found)
