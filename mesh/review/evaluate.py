"""What a firewall table lets in: a packet's way through its chains, for all ports at once."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from mesh.review.elements import Elements, NotUnderstoodError, elements
from mesh.review.rules import Packet, parse_rule
from mesh.review.table import Chain, Table, read_table
from mesh.review.traffic import EVERYTHING, NOTHING, Traffic

__all__ = ["Firewall"]

_DEEPEST: Final = 16
"""Jumps within jumps, as in the kernel (NFT_JUMP_STACK_SIZE, net/netfilter/nf_tables.h)."""
_HOOKS: Final = ("prerouting", "input")
"""The hooks that a packet to the node itself passes."""
_ONWARD: Final = ("prerouting", "forward")
"""The hooks that a packet to a network behind the node passes."""
_KNOWN_HOOKS: Final = {*_HOOKS, *_ONWARD, "output", "postrouting", ""}
_BEHIND: Final = re.compile(r"ip6? saddr (\S+) fib saddr \. iif oif missing ")


class Firewall:
    """The firewall of one node, asked for one sender after the other."""

    def __init__(self, text: str) -> None:
        """Read the file. Raises `NotUnderstoodError`."""
        self._table = read_table(text)
        unknown = {chain.hook for chain in self._table.chains.values()} - _KNOWN_HOOKS
        if unknown:
            raise NotUnderstoodError(f"a chain of the hook {min(unknown)}")
        self._named = [*self._table.sets.values(), elements(*_networks(self._table))]
        self._found: dict[tuple[object, ...], Traffic] = {}

    @property
    def sets(self) -> Mapping[str, Elements]:
        """The sets of the table, by their names."""
        return self._table.sets

    @property
    def behind(self) -> frozenset[IPv4Network | IPv6Network]:
        """The networks behind the node."""
        rules = (" ".join(rule) for chain in self._table.chains.values() for rule in chain.rules)
        return frozenset(ip_network(found[1]) for rule in rules if (found := _BEHIND.search(rule)))

    def let_in(self, packet: Packet) -> Traffic:
        """Return what a sender may begin with the node, or with what is behind it.

        Raises `NotUnderstoodError`.
        That is all of which at least some gets through: a limit of the rate is none. Senders that every set
        and every network of the table hold alike are let in alike.
        """
        alike = (
            packet.interface, packet.target, packet.listed, packet.version, packet.onward,
            *(each.says(packet.source) for each in self._named),
        )  # fmt: skip
        if alike not in self._found:
            self._found[alike] = _through(self._table, packet)
        return self._found[alike]


def _networks(table: Table) -> Iterator[tuple[str, ...]]:
    """Yield the addresses and networks that rules themselves name."""
    for word in sorted({word for chain in table.chains.values() for rule in chain.rules for word in rule}):
        with suppress(ValueError):
            ip_network(word)
            yield (word,)


def _through(table: Table, packet: Packet) -> Traffic:
    on = EVERYTHING
    for hook in _ONWARD if packet.onward else _HOOKS:
        chains = [chain for chain in table.chains.values() if chain.hook == hook]
        for chain in sorted(chains, key=lambda chain: chain.priority):
            accepted, left = _walk(table, chain, packet, on, 0)
            on = accepted | _by_policy(chain, left)
    return on


def _by_policy(chain: Chain, left: Traffic) -> Traffic:
    if chain.policy not in {"accept", "drop"}:
        raise NotUnderstoodError(f"policy {chain.policy}")
    return left if chain.policy == "accept" else NOTHING


def _walk(
    table: Table, chain: Chain, packet: Packet, traffic: Traffic, depth: int
) -> tuple[Traffic, Traffic]:
    """Return what is accepted, and what comes out at the end."""
    if depth > _DEEPEST:
        raise NotUnderstoodError("chains that jump in a circle")
    accepted, returned, left = NOTHING, NOTHING, traffic
    for words in chain.rules:
        if not left:
            break
        rule = parse_rule(words, packet, table.sets)
        met = left & rule.traffic
        if not met:
            continue
        if rule.changes or not (rule.sure or rule.verdict in {"", "accept"}):
            raise NotUnderstoodError(f"`{' '.join(words)}`")
        match rule.verdict.split():
            case ["accept"]:
                accepted |= met
                left -= met if rule.sure else NOTHING
            case ["drop" | "reject"]:
                left -= met
            case ["return"]:
                returned |= met
                left -= met
            case ["jump", name]:
                inner, out = _walk(table, _chain(table.chains, name), packet, met, depth + 1)
                accepted |= inner
                left = (left - met) | out
    return accepted, left | returned


def _chain(chains: Mapping[str, Chain], name: str) -> Chain:
    if name not in chains or chains[name].hook:
        raise NotUnderstoodError(f"the chain {name} does not exist")
    return chains[name]
