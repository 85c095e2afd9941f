"""The elements of a set of the firewall table, read once for each thing that a rule may ask of them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from mesh.render import UNKNOWN_TEXT
from mesh.review.ranges import Ranges, ranges

__all__ = ["Elements", "NotUnderstoodError", "elements"]

_EVERY_PORT: Final = (0, 65535)


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
                return (self.exact.get((address,), ()), *self._told_of(address))
            case _:
                return ()

    def _told_of(self, address: IPv4Address | IPv6Address) -> tuple[object, ...]:
        several = (key for key in self.exact if len(key) > 1)
        return (
            *(address in key for key in several),
            *(address in network for key, _ in self.wider for network in key),
        )

    @cached_property
    def _kind(self) -> str:
        with suppress(NotUnderstoodError):
            return "networks" if self.every or not self.words else "unknown"
        with suppress(NotUnderstoodError):
            return "pairs" if self._keyed else "unknown"
        return "other"

    def ports_for(self, *addresses: IPv4Address | IPv6Address) -> Ranges:
        """They are addresses or networks, joined, mostly with a port; return the ports that these have."""
        found = [
            ports
            for key, ports in self.wider
            if len(key) == len(addresses)
            and all(address in network for address, network in zip(addresses, key, strict=True))
        ]
        return ranges(pair for each in (self.exact.get(addresses, ()), *found) for pair in each)

    @cached_property
    def exact(self) -> Mapping[tuple[IPv4Address | IPv6Address, ...], Ranges]:
        """The joined elements without a network."""
        return {
            tuple(network[0] for network in key): ports
            for key, ports in self._keyed.items()
            if all(network.num_addresses == 1 for network in key)
        }

    @cached_property
    def wider(self) -> Sequence[tuple[tuple[IPv4Network | IPv6Network, ...], Ranges]]:
        """The joined elements with a network."""
        return [
            (key, ports)
            for key, ports in self._keyed.items()
            if any(network.num_addresses > 1 for network in key)
        ]

    @cached_property
    def _keyed(self) -> Mapping[tuple[IPv4Network | IPv6Network, ...], Ranges]:
        found: dict[tuple[IPv4Network | IPv6Network, ...], list[tuple[int, int]]] = {}
        for each in self.words:
            parts, dots = each[::2], each[1::2]
            if len(parts) < 2 or set(dots) != {"."} or len(parts) == len(dots):
                raise NotUnderstoodError(f"`{' '.join(each)}` is no address and port")
            last = [] if _is_address(parts[-1]) else [parts[-1]]
            key = tuple(_network(part) for part in (parts[:-1] if last else parts))
            found.setdefault(key, []).append(_pair(last[0]) if last else _EVERY_PORT)
        return {key: ranges(pairs) for key, pairs in found.items()}


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


def _is_address(text: str) -> bool:
    return "." in text or ":" in text
