"""What is opened: ports, ranges of ports, and what a rule of the policy lets through."""

import re
from typing import Literal

from pydantic_core import PydanticCustomError

from mesh.settings.base import Model
from mesh.settings.problems import refuse, show
from mesh.settings.values import text

__all__ = ["Grant", "PortRange", "allowed", "port_range", "single_port"]


class PortRange(Model):
    """A port or a range of ports, both ends included."""

    protocol: Literal["tcp", "udp"]
    first: int
    last: int

    @property
    def range_text(self) -> str:
        """`443` or `8000-8100`."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def __str__(self) -> str:
        return f"{self.protocol}/{self.range_text}"

    def __lt__(self, other: "PortRange") -> bool:
        return (self.protocol, self.first, self.last) < (other.protocol, other.first, other.last)

    def overlaps(self, other: "PortRange") -> bool:
        """Whether both have a port in common."""
        return self.protocol == other.protocol and self.first <= other.last and other.first <= self.last


Grant = PortRange | Literal["icmp", "all"]
"""What a rule of the policy lets through: ports, ICMP of every kind, or everything."""


def port_range(value: object) -> PortRange:
    """`tcp/443`, `udp/53` or `tcp/8000-8100`."""
    if isinstance(value, PortRange):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
        raise refuse(f"{show(int(value))} has no protocol; write tcp/{int(value)} or udp/{int(value)}")
    given = text(value, "a port such as tcp/443")
    match = re.fullmatch(r"(tcp|udp)/([0-9]{1,5})(?:-([0-9]{1,5}))?", given)
    if match is None:
        bare = re.fullmatch(r"[0-9]{1,5}(-[0-9]{1,5})?", given)
        helps = f"; write tcp/{given} or udp/{given}" if bare else ""
        raise refuse(f"{show(given)} is not a port such as tcp/443, udp/53 or tcp/8000-8100{helps}")
    first, last = int(match[2]), int(match[3] or match[2])
    if not 1 <= first <= last <= 65535:
        raise refuse(f"{given} is out of range; ports go from 1 to 65535, the lower port first")
    return PortRange(protocol="udp" if match[1] == "udp" else "tcp", first=first, last=last)


def single_port(value: object) -> PortRange:
    """`tcp/443`: one port."""
    port = port_range(value)
    if port.first != port.last:
        raise refuse(f"{port} is a range; test one port, such as {port.protocol}/{port.first}")
    return port


def allowed(value: object) -> Grant:
    """What a rule of the policy lets through: ports, `icmp` or `all`."""
    if value == "icmp":
        return "icmp"
    if value == "all":
        return "all"
    given = value if isinstance(value, PortRange) else text(value, "a port such as tcp/5432, icmp or all")
    try:
        return port_range(given)
    except PydanticCustomError:
        if isinstance(given, str) and re.match(r"(tcp|udp)/", given):
            raise
        raise refuse(
            f"{show(given)} is neither a port such as tcp/5432 or udp/53, nor icmp, nor all"
        ) from None
