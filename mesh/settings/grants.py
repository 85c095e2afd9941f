"""What is opened: ports, ranges of ports, and what a rule of the policy lets through."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from pydantic_core import PydanticCustomError

from mesh.settings.base import Model
from mesh.settings.meant import accepts, meant, plain
from mesh.settings.problems import refuse, show
from mesh.settings.values import text

__all__ = ["Grant", "PortRange", "allowed", "port_range", "single_port"]

# Names of services that people write for ports (/etc/services).
_SERVICES: Final[Mapping[str, str]] = {
    "ssh": "tcp/22",
    "smtp": "tcp/25",
    "dns": "udp/53",
    "domain": "udp/53",
    "http": "tcp/80",
    "ntp": "udp/123",
    "https": "tcp/443",
    "mysql": "tcp/3306",
    "postgres": "tcp/5432",
    "postgresql": "tcp/5432",
    "redis": "tcp/6379",
}


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
        raise _no_protocol(str(int(value)), f"{show(int(value))} has no protocol")
    given = text(value, "a port such as tcp/443", port_range)
    match = re.fullmatch(r"(tcp|udp)/([0-9]{1,5})(?:-([0-9]{1,5}))?", given)
    if match is None:
        raise _no_port(given)
    first, last = int(match[2]), int(match[3] or match[2])
    if not 1 <= first <= last <= 65535:
        said = f"{given} is out of range; ports go from 1 to 65535, the lower port first"
        turned = f"{match[1]}/{last}-{first}"
        if 1 <= last < first <= 65535:
            raise refuse(f"{said}: write {turned}", turned)
        raise refuse(said)
    return PortRange(protocol="udp" if match[1] == "udp" else "tcp", first=first, last=last)


def _no_protocol(given: str, said: str) -> PydanticCustomError:
    both = [f"{protocol}/{given}" for protocol in ("tcp", "udp")]
    right = [port for port in both if accepts(port_range, port)]
    return refuse(f"{said}; write {' or '.join(right or ['a port such as tcp/443'])}", *right)


def _no_port(given: str) -> PydanticCustomError:
    """Say which port a text means that is none."""
    said = f"{show(given)} is not a port such as tcp/443, udp/53 or tcp/8000-8100"
    tidy = plain(given).lower()
    if re.fullmatch(r"[0-9]{1,5}(-[0-9]{1,5})?", tidy):
        return _no_protocol(tidy, said)
    better = meant(given, port_range, *_other_spellings(tidy))
    if better is not None:
        return refuse(f"{said}; write {better}", better)
    if re.search(r"\S[,;\s]+\S", given):
        return refuse(f"{said}; give each port an entry of its own")
    if re.match(r"[a-z]+/?[0-9]", tidy) and not re.match(r"tcp|udp", tidy):
        return refuse(f"{said}; the protocols are tcp and udp")
    if tidy in {"icmp", "all"}:
        return refuse(f"{said}; {tidy} is no port: name ports")
    return refuse(f"{said}; write the protocol, a slash and a number")


def _other_spellings(tidy: str) -> Iterator[str]:
    """Yield a port as the stack file spells it, from how others spell it."""
    if tidy in _SERVICES:
        yield _SERVICES[tidy]
    spelled = re.sub(r"\s*(?:-|\.\.+|:|\bto\b)\s*(?=[0-9])", "-", tidy)
    first = re.fullmatch(r"(tcp|udp)[\s:/_-]*([0-9]+(?:-[0-9]+)?)", spelled)
    last = re.fullmatch(r"([0-9]+(?:-[0-9]+)?)[\s:/_-]*(tcp|udp)", spelled)
    if first:
        yield f"{first[1]}/{first[2]}"
    if last:
        yield f"{last[2]}/{last[1]}"
    every = re.fullmatch(r"(tcp|udp)(?:/(?:\*|all|any))?", tidy)
    if every:
        yield f"{every[1]}/1-65535"


def single_port(value: object) -> PortRange:
    """`tcp/443`: one port."""
    port = port_range(value)
    if port.first != port.last:
        one = f"{port.protocol}/{port.first}"
        raise refuse(f"{port} is a range; test one port, such as {one}", one)
    return port


def allowed(value: object) -> Grant:
    """What a rule of the policy lets through: ports, `icmp` or `all`."""
    if value == "icmp":
        return "icmp"
    if value == "all":
        return "all"
    if isinstance(value, PortRange):
        return value
    if isinstance(value, str) and not re.match(r"(tcp|udp)/", value):
        raise _nothing_to_allow(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        text(value, "a port such as tcp/5432, icmp or all", allowed)
    return port_range(value)


def _nothing_to_allow(given: str) -> PydanticCustomError:
    """Say what a rule was probably meant to allow."""
    said = f"{show(given)} is neither a port such as tcp/5432 or udp/53, nor icmp, nor all"
    tidy = plain(given).lower()
    if re.fullmatch(r"[0-9]{1,5}(-[0-9]{1,5})?", tidy):
        return _no_protocol(tidy, said)
    more = {"ping": "icmp", "*": "all", "any": "all", "everything": "all"}.get(tidy)
    better = meant(given, allowed, *([more] if more else _other_spellings(tidy)))
    if better is not None:
        return refuse(f"{said}; write {better}", better)
    return refuse(f"{said}; write one of these")
