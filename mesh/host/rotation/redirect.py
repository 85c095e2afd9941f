"""Packets of wg0 that take the second interface while keys are rotated: filters of `tc`.

What leaves wg0 for a peer that has moved is redirected to wg0-next; what arrives on wg0-next is redirected to
wg0. Nobody else sees the second interface: it has no address, and no route and no rule names it.

One filter for each network. Its pref follows from the length of the prefix alone: the longest prefix decides,
as in WireGuard, and a filter that comes or goes leaves all others alone.
"""

from __future__ import annotations

import ipaddress
import re

from ..answers import AgentError, Answer
from ..live.clsact import add_queue, has_queue
from ..records import dataclass
from ..system.run import attempt, find_tool, run
from ..system.scratch import isolated
from ..tunnel import NEXT, WG0
from .messages import MAGIC, PROBE, ROUTE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import Optional, Union

    _Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

__all__ = [
    "Filter",
    "Live",
    "add_queue",
    "changes",
    "clear",
    "has_queue",
    "parse_filters",
    "prepare_next",
    "reconcile",
    "wanted_egress",
    "wanted_ingress",
    "why_not",
]

# Our prefs; those of others stay. A pref holds filters of one protocol, at most 4095 (linux/pkt_cls.h:
# TC_U32_NODE).
_OURS = range(20000, 21000)
_MESSAGES = 20000
_IPV4, _IPV6 = 20100, 20200  # and one for each bit that the prefix is shorter than an address
_REST = 20900
# Where the destination is in a header, in bytes (RFC 791, RFC 8200).
_DESTINATION = {4: 16, 6: 24}
_ALL_ONES = 0xFFFFFFFF

_STAY = "classid 1:1"  # no action: the packet goes on where it is


@dataclass(frozen=True)
class Filter:
    """A u32 filter: what is compared (four bytes each: value, mask, offset), and what is done then."""

    pref: int
    protocol: str
    matches: tuple[tuple[int, int, int], ...]
    deed: str

    def words(self) -> str:
        """Return the filter as `tc filter add` takes it."""
        compared = " ".join(
            f"match u32 {value:#010x} {mask:#010x} at {place}" for value, mask, place in self.matches
        )
        return f"pref {self.pref} protocol {self.protocol} u32 {compared} {self.deed}"


@dataclass(frozen=True)
class Live:
    """A filter as the kernel has it, with the handle by which it alone can be removed."""

    handle: str
    filter: Filter


def reconcile(interface: str, peers: Mapping[str, Sequence[str]], to_next: frozenset[str]) -> int:
    """Have the packets of just these peers take the second interface; returns how many commands that took.

    `peers` are all peers' AllowedIPs by name, `to_next` the names of the peers that have moved. Without the
    second interface nothing is redirected; an absent `interface` has nothing to change. Raises `AgentError`.
    """
    if not _exists(interface):
        return 0
    if not _exists(NEXT.interface):
        return _bring(interface, "egress", [])
    done = _bring(NEXT.interface, "ingress", wanted_ingress(interface))
    return done + _bring(interface, "egress", wanted_egress(peers, to_next))


def clear(interface: str) -> None:
    """Remove our filters for what leaves an interface; the place for filters stays. Raises `AgentError`."""
    if _exists(interface):
        _bring(interface, "egress", [])


def prepare_next() -> None:
    """Have what arrives on the second interface arrive on wg0: to be called before the link is up.

    Raises `AgentError`.
    """
    _bring(NEXT.interface, "ingress", wanted_ingress(WG0.interface))


def _exists(interface: str) -> bool:
    import socket

    try:
        socket.if_nametoindex(interface)
    except OSError:
        return False
    return True


def _bring(interface: str, hook: str, wanted: Sequence[Filter]) -> int:
    place = f"dev {interface} {hook}"
    live = parse_filters(run(["tc", "filter", "show", *place.split()]))
    commands = changes(place, live, wanted)
    if wanted and not live and not add_queue(interface):
        raise AgentError(
            Answer.FAILED,
            f"{interface} cannot have filters of tc: `tc qdisc add dev {interface} clsact` fails",
        )
    if commands:
        run(["tc", "-batch", "-"], stdin="".join(f"{command}\n" for command in commands))
    return len(commands)


def wanted_egress(peers: Mapping[str, Sequence[str]], to_next: frozenset[str]) -> list[Filter]:
    """Return the filters for what leaves wg0. Pure.

    A network of a peer that has not moved stays, also within a network of a peer that has.
    """
    moved = [network for name in peers if name in to_next for network in _networks(peers[name])]
    others = [network for name in peers if name not in to_next for network in _networks(peers[name])]
    if not moved:
        return []
    around = [network for network in moved if network.prefixlen < network.max_prefixlen]
    staying = [inner for inner in others if any(_within(inner, outer) for outer in around)]
    deed = f"action mirred egress redirect dev {NEXT.interface}"
    return [
        _message(PROBE),
        *(_to(network, _STAY) for network in staying),
        *(_to(network, deed) for network in moved),
    ]


def wanted_ingress(interface: str) -> list[Filter]:
    """Return the filters for what arrives on the second interface: all but our messages goes on. Pure."""
    deed = f"action mirred ingress redirect dev {interface}"
    return [_message(ROUTE), _message(PROBE), Filter(_REST, "all", ((0, 0, 0),), deed)]


def _networks(allowed: Iterable[str]) -> list[_Network]:
    return [ipaddress.ip_network(each, strict=False) for each in allowed]


def _within(inner: _Network, outer: _Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type] # one family


def _message(identifier: int) -> Filter:
    """Let our messages of this kind stay, and no other echo request that happens to have the identifier."""
    matches = (
        (0x45000000, 0xFF000000, 0),  # no options
        (0x00010000, 0x00FF0000, 8),  # ICMP
        (0x08000000, 0xFF000000, 20),  # echo request
        (identifier << 16, 0xFFFF0000, 24),
        (int.from_bytes(MAGIC[:4], "big"), _ALL_ONES, 28),
        (int.from_bytes(MAGIC[4:], "big"), _ALL_ONES, 32),
    )
    return Filter(_MESSAGES, "ip", matches, _STAY)


def _to(network: _Network, deed: str) -> Filter:
    """Do this with packets to a network."""
    shorter = network.max_prefixlen - network.prefixlen
    start = _DESTINATION[network.version]
    address, mask = network.network_address.packed, network.netmask.packed
    words = [
        (int.from_bytes(address[at : at + 4], "big"), int.from_bytes(mask[at : at + 4], "big"), start + at)
        for at in range(0, len(address), 4)
    ]
    matches = tuple(word for word in words if word[1]) or ((0, 0, start),)
    pref, protocol = (_IPV4, "ip") if network.version == 4 else (_IPV6, "ipv6")
    return Filter(pref + shorter, protocol, matches, deed)


def changes(place: str, live: Sequence[Live], wanted: Iterable[Filter]) -> list[str]:
    """Return the fewest commands of `tc` that bring the filters at `place` (`dev wg0 egress`) to these. Pure.

    No packet takes a wrong way in between, nor after a command that is the last one: a longer prefix comes
    before a shorter one and goes after it, and what takes the place of a filter is there before that goes.
    """
    missing, surplus = dict.fromkeys(wanted), list[Live]()
    used = {each.pref for each in missing}
    for each in live:
        if each.filter in missing:
            del missing[each.filter]
        else:
            surplus.append(each)
    added = sorted(missing, key=lambda each: each.pref)
    removed = sorted(surplus, key=lambda each: -each.filter.pref)
    return [f"filter add {place} {each.words()}" for each in added] + [
        *dict.fromkeys(f"filter del {place} {_known_by(each, used)}" for each in removed)
    ]


def _known_by(live: Live, used: Collection[int]) -> str:
    """Return what to remove: this filter, or its whole pref, where no filter is to be left."""
    pref = f"pref {live.filter.pref} protocol {live.filter.protocol}"
    return f"{pref} handle {live.handle} u32" if live.filter.pref in used else pref


_HEAD = re.compile(
    r"filter protocol (\S+) pref (\d+) u32 chain 0 fh ([0-9a-f]+:[0-9a-f]*:[0-9a-f]+) (?:.*flowid (\w+:\w+))?"
)
_MATCH = re.compile(r"match ([0-9a-f]{8})/([0-9a-f]{8}) at (\d+)")
_REDIRECT = re.compile(r"action order 1: +mirred \((Egress|Ingress) Redirect to device (\S+)\) stolen")
_COUNTED = re.compile(r"index \d+ ref \d+ bind \d+")


def parse_filters(shown: str) -> list[Live]:
    """Return our filters of what `tc filter show` prints. Pure.

    Not its JSON, in which `match` is there once for each comparison, and which filters of others can break.
    What is not known here is part of the deed, so that no filter that we want has it.
    """
    found = []
    for head, lines in _paragraphs(shown):
        protocol, pref, handle, flow = head.groups()
        if int(pref) in _OURS:
            matches, deeds = [], [f"classid {flow}"] if flow else []
            for line in lines:
                match, redirect = _MATCH.fullmatch(line), _REDIRECT.fullmatch(line)
                if match:
                    matches.append((int(match[1], 16), int(match[2], 16), int(match[3])))
                elif redirect:
                    deeds.append(f"action mirred {redirect[1].lower()} redirect dev {redirect[2]}")
                elif not _COUNTED.fullmatch(line):
                    deeds.append(line)
            found.append(Live(handle, Filter(int(pref), protocol, tuple(matches), " ".join(deeds))))
    return found


def _paragraphs(shown: str) -> list[tuple[re.Match[str], list[str]]]:
    """Return the first line of each u32 filter, and the lines below that line."""
    found: list[tuple[re.Match[str], list[str]]] = []
    lines: list[str] = []
    for line in shown.splitlines():
        if line.startswith("filter "):
            lines = []
            head = _HEAD.match(line)
            if head:
                found.append((head, lines))
        elif line.strip():
            lines.append(line.strip())
    return found


_ENOUGH = 10.0
_TRIAL = "filter add dev lo egress pref 1 protocol ip u32 match u32 0 0"
_NEEDED = (
    ("sch_ingress", "qdisc add dev lo clsact"),
    ("cls_u32", f"{_TRIAL} {_STAY}"),
    ("act_mirred", f"{_TRIAL} action mirred egress redirect dev lo"),
)
"""Modules of the kernel, and what `tc` can do with each one."""


def why_not() -> Optional[str]:
    """Say why this host cannot redirect packets, and the remedy; None where it can.

    Tried in a network namespace made for it: nothing changes on the host.
    """
    if find_tool("tc") is None:
        return "tc is not installed, and keys are rotated by filters of tc: install iproute2"
    missing = isolated(_missing, seconds=_ENOUGH)
    if missing is None:
        return "filters of tc could not be tried: this host gives the agent no network namespace of its own"
    return _without(missing) if missing else None


def _missing() -> str:
    """Return the first module that this kernel lacks; to be called in a namespace made for it."""
    import socket

    for module, words in _NEEDED:
        if attempt(["tc", *words.split()]) is None:
            return module
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0).close()
    except OSError:
        return "af_packet"
    return ""


def _without(module: str) -> str:
    import os

    return (
        f"the kernel {os.uname().release} has no {module}, and keys are rotated with it: install the package "
        f"with the kernel's other modules (Ubuntu: linux-modules-extra-{os.uname().release}), or a kernel "
        f"of the distribution, until `modprobe {module}` works"
    )
