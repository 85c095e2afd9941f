"""What one rule of the firewall table means for packets that begin something."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from mesh.review.elements import Elements, NotUnderstoodError, elements
from mesh.review.ranges import Ranges, ranges
from mesh.review.traffic import ECHO_REQUEST, EVERYTHING, NOTHING, Traffic

__all__ = ["Packet", "Rule", "parse_rule"]

_ICMP: Final = {"icmp": 4, "icmpv6": 6}
# RFC 792 and RFC 4443, by nftables' names; the echo request of ICMPv6 counts as that of ICMP.
_TYPES: Final = {
    "destination-unreachable": {4: 3, 6: 1},
    "packet-too-big": {6: 2},
    "time-exceeded": {4: 11, 6: 3},
    "parameter-problem": {4: 12, 6: 4},
    "echo-request": {4: ECHO_REQUEST, 6: ECHO_REQUEST},
    "nd-router-solicit": {6: 133},
    "nd-router-advert": {6: 134},
    "nd-neighbor-solicit": {6: 135},
    "nd-neighbor-advert": {6: 136},
}
_L4: Final = {
    "tcp": Traffic(tcp=EVERYTHING.tcp),
    "udp": Traffic(udp=EVERYTHING.udp),
}
_NEW_PASSES_BY: Final = {"established", "related", "invalid"}


@dataclass(frozen=True, kw_only=True)
class Packet:
    """Who sends, to what: through which interface, from which address; `target` is the node's own address.

    With `onward`, `target` is in a network behind the node, and the packet leaves by an interface that is not
    the tunnel's and that no name is known of.
    `target` is None for a public one, which is in no network of the table. A sender outside (`listed` False)
    stands for all that no set names, also where a set has an address that is not known yet.
    """

    interface: str
    source: IPv4Address | IPv6Address
    target: IPv4Address | IPv6Address | None
    listed: bool = True
    onward: bool = False

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.source.version


@dataclass
class Rule:
    """A rule as far as one packet may meet it.

    `traffic` is all that it speaks of, `sure` whether all of that meets it (and not only some, up to a rate
    or from some ports); `verdict` is accept, drop, reject, `jump NAME`, return or nothing.
    """

    traffic: Traffic = EVERYTHING
    sure: bool = True
    verdict: str = ""
    changes: bool = False


@dataclass
class _Reader:
    """The words of one rule, and what is asked of them."""

    words: Sequence[str]
    packet: Packet
    sets: Mapping[str, Elements]
    rule: Rule = field(default_factory=Rule)
    at: int = 0

    def peek(self) -> str:
        return self.words[self.at] if self.at < len(self.words) else ""

    def take(self, *expected: str) -> str:
        word = self.peek()
        if not word or (expected and word not in expected):
            raise NotUnderstoodError(f"`{' '.join(self.words)}`")
        self.at += 1
        return word

    def skip(self, *words: str) -> None:
        for word in words:
            self.take(word)

    def value(self) -> Elements:
        """Take a value, a set in braces or the name of a set; returns its elements."""
        word = self.take()
        if word.startswith("@"):
            if word[1:] not in self.sets:
                raise NotUnderstoodError(f"the set {word} does not exist")
            return self.sets[word[1:]]
        if word != "{":
            return elements((word,))
        found: list[tuple[str, ...]] = [()]
        while (word := self.take()) != "}":
            if word == ",":
                found.append(())
            else:
                found[-1] = (*found[-1], word)
        return elements(*(each for each in found if each))

    def not_(self) -> bool:
        if self.peek() == "!=":
            self.at += 1
            return True
        return False

    def limit(self, traffic: Traffic) -> None:
        self.rule.traffic &= traffic

    def when(self, *, holds: bool) -> None:
        if not holds:
            self.rule.traffic = NOTHING


def parse_rule(words: Sequence[str], packet: Packet, sets: Mapping[str, Elements]) -> Rule:
    """Return what a rule means for a packet. Raises `NotUnderstoodError`.

    What comes after a condition that does not hold is not looked at.
    """
    reader = _Reader(words, packet, sets)
    while reader.peek() and reader.rule.traffic:
        word = reader.take()
        if reader.rule.verdict and word != "comment":
            raise NotUnderstoodError(f"`{' '.join(words)}`")
        known = _WORDS.get(word)
        if known is None:
            raise NotUnderstoodError(f"`{' '.join(words)}`")
        known(reader)
    return reader.rule


def _interface(reader: _Reader) -> None:
    negated = reader.not_()
    mine = reader.packet.interface
    found = any(
        mine.startswith(name[:-1]) if name.endswith("*") else mine == name for name in reader.value().texts
    )
    reader.when(holds=found != negated)


def _leaving(reader: _Reader) -> None:
    """A packet that goes on leaves by another interface than the one it came by."""
    negated = reader.not_()
    names = reader.value().texts
    if not reader.packet.onward or names != (reader.packet.interface,):
        raise NotUnderstoodError(f"`{' '.join(reader.words)}`")
    reader.when(holds=negated)


def _address(version: int) -> Callable[[_Reader], None]:
    def read(reader: _Reader) -> None:
        which = reader.take("saddr", "daddr", "hoplimit")
        if reader.packet.version != version:
            reader.rule.traffic = NOTHING
            return
        if which == "hoplimit":
            reader.value()
            reader.rule.sure = False
            return
        if reader.peek() == ".":
            reader.skip(".")
            _joined(reader)
            return
        negated = reader.not_()
        mine = reader.packet.source if which == "saddr" else reader.packet.target
        reader.when(holds=_among(reader, mine, reader.value()) != negated)

    return read


def _among(reader: _Reader, mine: IPv4Address | IPv6Address | None, among: Elements) -> bool:
    if mine is None:
        if any(network.is_global for network in (*among.networks, *among.addresses)):
            raise NotUnderstoodError(f"`{' '.join(reader.words)}`")
        return False
    if among.has(mine):
        return True
    if among.unknown and reader.packet.listed:
        raise NotUnderstoodError(f"an address of `{' '.join(reader.words)}` is not known before `up`")
    return False


def _joined(reader: _Reader) -> None:
    """The source, joined with the target, a port, or both."""
    asked = [reader.packet.source]
    if reader.peek() in {"ip", "ip6"}:
        reader.take()
        reader.skip("daddr")
        if reader.packet.target is None:
            raise NotUnderstoodError(f"`{' '.join(reader.words)}`")
        asked.append(reader.packet.target)
        if reader.peek() != ".":
            reader.when(holds=bool(reader.value().ports_for(*asked)))
            return
        reader.skip(".", "th", "dport")
    else:
        reader.skip("ct", "original", "proto-dst")
    traffic = reader.rule.traffic
    if traffic.icmp or traffic.other or (traffic.tcp and traffic.udp):
        raise NotUnderstoodError(f"`{' '.join(reader.words)}`")
    found = reader.value().ports_for(*asked)
    reader.limit(Traffic(tcp=found, udp=found))


def _ports_of(reader: _Reader) -> Ranges:
    if reader.peek() == "!=":
        raise NotUnderstoodError(f"`{' '.join(reader.words)}`")
    return reader.value().ports


def _protocol(name: str) -> Callable[[_Reader], None]:
    def read(reader: _Reader) -> None:
        which = reader.take("dport", "sport", "flags", "option")
        reader.limit(_L4[name])
        if which == "flags":
            reader.skip("syn", "/", "syn", ",", "rst")
            reader.rule.sure = False
        elif which == "option":
            reader.skip("maxseg", "size", "set", "rt", "mtu")
        elif which == "sport":
            _ports_of(reader)
            reader.rule.sure = False
        elif reader.peek() == "set":
            reader.skip("set")
            reader.take()
            reader.rule.changes = True
        else:
            ports = _ports_of(reader)
            reader.limit(Traffic(tcp=ports, udp=ports))

    return read


def _icmp(name: str) -> Callable[[_Reader], None]:
    def read(reader: _Reader) -> None:
        reader.skip("type")
        names = reader.value().texts
        unknown = [each for each in names if each not in _TYPES]
        if unknown:
            raise NotUnderstoodError(f"ICMP type {unknown[0]}")
        version = _ICMP[name]
        if reader.packet.version != version:
            reader.rule.traffic = NOTHING
            return
        types = (_TYPES[each].get(version) for each in names)
        reader.limit(Traffic(icmp=ranges((each, each) for each in types if each is not None)))

    return read


def _meta(reader: _Reader) -> None:
    what, value = reader.take("nfproto", "l4proto"), reader.take()
    if what == "nfproto" and value in {"ipv4", "ipv6"}:
        reader.when(holds=value == f"ipv{reader.packet.version}")
    elif what == "l4proto" and value in _L4:
        reader.limit(_L4[value])
    elif what == "l4proto" and value in _ICMP:
        reader.limit(Traffic(icmp=EVERYTHING.icmp if _ICMP[value] == reader.packet.version else ()))
    else:
        raise NotUnderstoodError(f"`{' '.join(reader.words)}`")


def _connection(reader: _Reader) -> None:
    """A connection that begins is new, and in no state that a map may name."""
    reader.skip("state")
    if reader.peek() == "new":
        reader.skip("new")
        return
    reader.skip("vmap", "{")
    while True:
        reader.take(*_NEW_PASSES_BY)
        reader.skip(":")
        reader.take("accept", "drop")
        if reader.take(",", "}") == "}":
            reader.rule.traffic = NOTHING
            return


def _fib(reader: _Reader) -> None:
    """A sender elsewhere is not local, the node's own address is; a sender comes by the way back to it."""
    which = reader.take("saddr", "daddr")
    if reader.peek() == ".":
        reader.skip(".", "iif", "oif")
        reader.when(holds=reader.take("missing", "exists") == "exists")
        return
    reader.skip("type")
    negated = reader.not_()
    reader.skip("local")
    reader.when(holds=(which == "daddr") != negated)


def _rate(reader: _Reader) -> None:
    reader.skip("rate")
    reader.take()
    if reader.peek() == "burst":
        reader.skip("burst")
        reader.take()
        reader.skip("packets")
    reader.rule.sure = False


def _log(reader: _Reader) -> None:
    reader.skip("prefix")
    reader.take()
    reader.skip("level")
    reader.take()


def _nothing(_reader: _Reader) -> None:
    """It counts, or speaks to people."""


def _comment(reader: _Reader) -> None:
    reader.take()


def _verdict(word: str) -> Callable[[_Reader], None]:
    def read(reader: _Reader) -> None:
        reader.rule.verdict = word
        if word == "jump":
            reader.rule.verdict = f"jump {reader.take()}"
        elif word == "reject" and reader.peek() == "with":
            reader.skip("with")
            reader.take("icmpx")
            reader.take()

    return read


_WORDS: Final[Mapping[str, Callable[[_Reader], None]]] = {
    "iifname": _interface,
    "oifname": _leaving,
    "ip": _address(4),
    "ip6": _address(6),
    "tcp": _protocol("tcp"),
    "udp": _protocol("udp"),
    "icmp": _icmp("icmp"),
    "icmpv6": _icmp("icmpv6"),
    "meta": _meta,
    "ct": _connection,
    "fib": _fib,
    "limit": _rate,
    "log": _log,
    "counter": _nothing,
    "comment": _comment,
    **{word: _verdict(word) for word in ("accept", "drop", "reject", "jump", "return")},
}
