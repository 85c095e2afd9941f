"""The elements of a set of the firewall table, read once for each thing that a rule may ask of them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from mesh.render import UNKNOWN_TEXT
from mesh.review.ranges import Ranges, ranges

__all__ = ["Elements", "NotUnderstoodError", "elements"]


class NotUnderstoodError(Exception):
    """A table has something that the evaluation does not know; the message names it."""


@dataclass(frozen=True)
class Elements:
    """Elements, each as its words. A question that does not fit them raises `NotUnderstoodError`."""

    words: tuple[tuple[str, ...], ...]

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Each in one piece, without quotes."""
        return tuple(" ".join(each).strip('"') for each in self.words)

    @property
    def unknown(self) -> bool:
        """Whether one of them is not known before `up`."""
        return UNKNOWN_TEXT in self.texts

    @cached_property
    def ports(self) -> Ranges:
        """They are ports and ranges of ports."""
        return ranges(_pair(text) for text in self.texts)

    @cached_property
    def networks(self) -> Sequence[IPv4Network | IPv6Network]:
        """They are networks and addresses; here all but the single addresses."""
        return [network for network in self.every if network.num_addresses > 1]

    @cached_property
    def addresses(self) -> frozenset[IPv4Address | IPv6Address]:
        """The single addresses."""
        return frozenset(network[0] for network in self.every if network.num_addresses == 1)

    @cached_property
    def every(self) -> Sequence[IPv4Network | IPv6Network]:
        """All of them that are known, as networks."""
        return [_network(text) for text in self.texts if text != UNKNOWN_TEXT]

    def has(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether an address is among them, as far as they are known."""
        return address in self.addresses or any(address in network for network in self.networks)

    def says(self, address: IPv4Address | IPv6Address) -> tuple[object, ...]:
        """Return all that they tell of an address; equal for two addresses that no rule can tell apart."""
        match self._kind:
            case "networks":
                return (address in self.addresses, *(address in network for network in self.networks))
            case "pairs":
                return self.ports_by_address.get(address, ())
            case _:
                return ()

    @cached_property
    def _kind(self) -> str:
        with suppress(NotUnderstoodError):
            return "networks" if self.every or not self.words else "unknown"
        with suppress(NotUnderstoodError):
            return "pairs" if self.ports_by_address else "unknown"
        return "other"

    @cached_property
    def ports_by_address(self) -> Mapping[IPv4Address | IPv6Address, Ranges]:
        """They are pairs of an address and ports."""
        found: dict[IPv4Address | IPv6Address, list[tuple[int, int]]] = {}
        for each in self.words:
            match each:
                case [address, ".", port]:
                    found.setdefault(_address(address), []).append(_pair(port))
                case _:
                    raise NotUnderstoodError(f"`{' '.join(each)}` is no address and port")
        return {address: ranges(pairs) for address, pairs in found.items()}


@lru_cache(maxsize=1024)
def elements(*words: tuple[str, ...]) -> Elements:
    """Return elements; of the same words the same ones, which are read only once."""
    return Elements(words)


def _pair(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal():
        raise NotUnderstoodError(f"`{text}` is no port")
    return int(first), int(last or first)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        raise NotUnderstoodError(f"`{text}` is no network") from None


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError:
        raise NotUnderstoodError(f"`{text}` is no address") from None
