"""Pure: which route a packet of this host takes, as the kernel would decide by rules and tables.

Before a trial our routes are not there yet, so that the kernel cannot be asked. What is left out here (rules
about protocols, ports, devices) is seen in the kernel's own answer, which is part of every self-check.
"""

from __future__ import annotations

import ipaddress

from ..records import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Optional, Union

    Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
    Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

__all__ = ["Network", "Packet", "Route", "Rule", "decide", "parse_rules", "parse_table"]


# What a rule can ask of a packet, and what a plain one is not: bound to a device, of one protocol or port.
_NEVER = ("oif", "ipproto", "sport", "dport", "tos", "dsfield", "tun_id", "l3mdev")
_OUTCOME = (
    *("priority", "table", "action", "goto", "unresolved", "nop"),
    *("suppress_prefixlen", "suppress_ifgroup"),
)
_REFUSALS = ("unreachable", "blackhole", "prohibit")
_ROOT = 0


@dataclass(frozen=True)
class Packet:
    """What a lookup is about; the source is None where the kernel is to choose it."""

    destination: Address
    source: Optional[Address]


@dataclass(frozen=True)
class Route:
    """A route; `kind` is `unicast`, `unreachable`, `throw`..., `device` empty where there is none."""

    table: str
    kind: str
    destination: Network
    device: str
    gateway: str
    maker: str

    def __str__(self) -> str:
        kind = "" if self.kind == "unicast" else f"{self.kind} "
        way = "".join(
            f" {word} {name}" for word, name in (("via", self.gateway), ("dev", self.device)) if name
        )
        table = "" if self.table == "main" else f" table {self.table}"
        return f"{kind}{self.destination}{way}{table}"


@dataclass(frozen=True)
class Rule:
    """A rule; `selectors` as `ip -j rule` has them, `action` is empty where it looks a table up."""

    priority: int
    table: str
    action: str
    goto: int
    suppressed: int
    selectors: dict[str, Any]

    def __str__(self) -> str:
        what = self.action or f"lookup {self.table}"
        return f"{self.priority}: {_words(self.selectors)} {what}"

    @property
    def target(self) -> Optional[Network]:
        """The network that it is about alone; None for one that is about all of them."""
        name, length = self.selectors.get("dst", "all"), self.selectors.get("dstlen")
        return None if name == "all" or "not" in self.selectors else _network(name, length)

    def matches(self, packet: Packet) -> bool:
        """Tell whether a packet that a program of root on this host sends, without a mark, meets it."""
        return _meets(self.selectors, packet) != ("not" in self.selectors)


def _words(selectors: dict[str, Any]) -> str:
    words = ["not"] if "not" in selectors else []
    for name, length, word in (("src", "srclen", "from"), ("dst", "dstlen", "to")):
        if name in selectors:
            mask = f"/{selectors[length]}" if length in selectors else ""
            words.append(f"{word} {selectors[name]}{mask}")
    words += [f"{name} {selectors[name]}" for name in ("fwmark", "iif", *_NEVER) if name in selectors]
    return " ".join(words)


def _meets(selectors: dict[str, Any], packet: Packet) -> bool:
    if any(name in selectors for name in _NEVER) or selectors.get("iif", "lo") != "lo":
        return False
    if not selectors.get("uid_start", _ROOT) <= _ROOT <= selectors.get("uid_end", _ROOT):
        return False
    mark = int(str(selectors.get("fwmark", "0")), 16) & int(str(selectors.get("fwmask", "0xffffffff")), 16)
    return (
        mark == 0
        and _holds(selectors.get("src", "all"), selectors.get("srclen"), packet.source)
        and _holds(selectors.get("dst", "all"), selectors.get("dstlen"), packet.destination)
    )


def _holds(name: str, length: Optional[int], address: Optional[Address]) -> bool:
    if name == "all":
        return True
    return address is not None and address in _network(name, length)


def _network(name: str, length: Optional[int]) -> Network:
    return ipaddress.ip_network(name if length is None else f"{name}/{length}", strict=False)


def parse_rules(entries: Iterable[Any]) -> list[Rule]:
    """Parse what `ip -j -4 rule show` answers, or -6, in the order in which the kernel goes through them."""
    rules = [
        Rule(
            priority=entry["priority"],
            table=str(entry.get("table", "")),
            action=str(entry.get("action", "")),
            goto=0 if "unresolved" in entry else int(entry.get("goto", 0)),
            suppressed=entry.get("suppress_prefixlen", -1),
            selectors={name: value for name, value in entry.items() if name not in _OUTCOME},
        )
        for entry in entries
    ]
    return sorted(rules, key=lambda rule: rule.priority)


def parse_table(entries: Iterable[Any], version: int) -> list[Route]:
    """Parse what `ip -j -4 route show table all` answers, or -6."""
    everywhere = "0.0.0.0/0" if version == 4 else "::/0"
    routes = []
    for entry in entries:
        hop = {**next(iter(entry.get("nexthops", [])), {}), **entry}
        destination = everywhere if entry["dst"] == "default" else entry["dst"]
        routes.append(
            Route(
                table=str(entry.get("table", "main")),
                kind=str(entry.get("type", "unicast")),
                destination=ipaddress.ip_network(destination, strict=False),
                device=str(hop.get("dev", "")),
                gateway=str(hop.get("gateway", hop.get("via", {}).get("host", ""))),
                maker=str(entry.get("protocol", "boot")),
            )
        )
    return routes


def decide(
    packet: Packet, rules: Sequence[Rule], routes: Iterable[Route]
) -> tuple[Optional[Rule], Optional[Route]]:
    """Return the rule and the route that decide over a packet; no route where the rule refuses it."""
    tables: dict[str, list[Route]] = {}
    for route in routes:
        if packet.destination in route.destination:
            tables.setdefault(route.table, []).append(route)
    onward = 0
    for rule in rules:
        if rule.priority < onward or not rule.matches(packet):
            continue
        onward = max(onward, rule.goto)
        if rule.action in _REFUSALS:
            return rule, None
        found = _longest(tables.get(rule.table, []))
        if found and found.kind != "throw" and found.destination.prefixlen > rule.suppressed:
            return rule, found
    return None, None


def _longest(routes: Sequence[Route]) -> Optional[Route]:
    """Return the most specific route; of two alike the one that was there first."""
    return max(routes, key=lambda route: route.destination.prefixlen, default=None)
