"""Addresses inside the mesh that change: both are held until every node has committed the new one.

Three runs: in the first one every node and its peers know both addresses, and names lead to the former one;
in the second one names lead to the new address; the third one takes the former address away. What has been
reached is read from the files that the nodes have committed, so that a run may fail anywhere, or be killed.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
)

from mesh.plan import MeshPlan
from mesh.render import Doors

__all__ = ["Renumbering", "plan_renumbering"]

_Address = IPv4Address | IPv6Address
_Interface = IPv4Interface | IPv6Interface
_Network = IPv4Network | IPv6Network


@dataclass(frozen=True, kw_only=True)
class Renumbering:
    """What becomes of former addresses in this run, by node or client.

    `held` are kept beside the planned ones; `leads` says where names lead that do not lead to all planned
    addresses; `ends` are used by others and go in this run.
    """

    held: Mapping[str, tuple[_Interface, ...]] = field(default_factory=dict)
    leads: Mapping[str, tuple[_Address, ...]] = field(default_factory=dict)
    ends: Mapping[str, tuple[_Address, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Member:
    """A node or client: the addresses `wanted` and those that it may have had, and what nodes have committed.

    `own` are its own files, None of a client, which commits nothing; `others` those of nodes that know it.
    """

    name: str
    wanted: tuple[_Address, ...]
    had: tuple[_Interface, ...]
    own: Doors | None
    others: Sequence[Doors]

    def in_force(self, address: _Address, network: _Network | None = None) -> bool:
        """Whether the member has the address, and others send to it: all with an address in `network`."""
        has = self.had if self.own is None else self.own.addresses
        return any(each.ip == address for each in has) and all(
            _knows(doors, address)
            for doors in self.others
            if network is None or any(each.ip in network for each in doors.addresses)
        )

    def named(self, former: Sequence[_Interface]) -> bool:
        """Whether all names lead to the wanted addresses, and none to a former one."""
        files = [doors for doors in (self.own, *self.others) if doors is not None]
        return all(
            doors.named.issuperset(map(str, self.wanted))
            and doors.named.isdisjoint(str(each.ip) for each in former)
            for doors in files
        )


def plan_renumbering(plan: MeshPlan, committed: Mapping[str, Doors]) -> Renumbering:
    """Decide what becomes of former addresses; `committed` has, by node, what it has committed.

    An address is not held if another member has it now, if it lies in a network that others claim, or if the
    mesh does not have its family any more.
    """
    doors = {name: each for name, each in committed.items() if plan.nodes[name].enabled}
    members = [*_nodes(plan, doors), *_clients(plan, doors)]
    former = {each.name: tuple(old for old in each.had if old.ip not in each.wanted) for each in members}
    free = _free(plan, former)
    held = {
        each.name: free[each.name] for each in members if free[each.name] and not each.named(free[each.name])
    }
    return Renumbering(
        held=held,
        leads={
            each.name: leads
            for each in members
            if (leads := _leads(each, held.get(each.name, ()))) != each.wanted
        },
        ends={
            each.name: ends
            for each in members
            if (ends := tuple(_ends(each, former[each.name], held.get(each.name, ()))))
        },
    )


def _ends(member: _Member, former: Sequence[_Interface], held: Sequence[_Interface]) -> Iterator[_Address]:
    """Yield the addresses that others send to and that the member does not hold."""
    for each in former:
        if each not in held and any(_knows(doors, each.ip) for doors in member.others):
            yield each.ip


def _nodes(plan: MeshPlan, doors: Mapping[str, Doors]) -> Iterator[_Member]:
    for name, own in doors.items():
        node = plan.nodes[name]
        wanted = tuple(each.ip for each in node.overlay.addresses)
        had = _had((name, *node.former), own.addresses, doors.values())
        ever = {*wanted, *(each.ip for each in had)}
        others = [
            each
            for other, each in doors.items()
            if other != name and any(_knows(each, address) for address in ever)
        ]
        yield _Member(name=name, wanted=wanted, had=had, own=own, others=others)


def _clients(plan: MeshPlan, doors: Mapping[str, Doors]) -> Iterator[_Member]:
    """Yield the clients that nodes know; a device has whatever address these nodes let it have."""
    for name, client in plan.clients.items():
        others = [each for each in doors.values() if name in each.allowed]
        if others and client.enabled:
            had = _had((name,), (), others)
            yield _Member(name=name, wanted=client.addresses, had=had, own=None, others=others)


def _had(names: Sequence[str], own: Sequence[_Interface], doors: Collection[Doors]) -> tuple[_Interface, ...]:
    """Return the addresses that somebody may have: those committed, and those that others send to.

    A run that is killed may have changed a node without a word of it in the state.
    """
    found = {each.ip for each in own}
    texts = {text for each in doors for name in names for text in each.allowed.get(name, ())}
    more = sorted({ip_address(text) for text in texts} - found, key=_order)
    return (*own, *(ip_interface(_within(address, doors)) for address in more))


def _within(address: _Address, doors: Collection[Doors]) -> str:
    """Return an address with the network of the mesh, as nodes have that."""
    networks = (each.network for found in doors for each in found.addresses)
    length = next((network.prefixlen for network in networks if address in network), address.max_prefixlen)
    return f"{address}/{length}"


def _order(address: _Address) -> tuple[int, int]:
    return address.version, int(address)


def _knows(doors: Doors, address: _Address) -> bool:
    return str(address) in doors.everyone


def _free(plan: MeshPlan, former: Mapping[str, Sequence[_Interface]]) -> dict[str, tuple[_Interface, ...]]:
    """Return the former addresses that nobody else lays claim to."""
    claims: list[_Address] = [address for client in plan.clients.values() for address in client.addresses]
    claims += [each.ip for node in plan.nodes.values() for each in node.overlay.addresses]
    claims += [each.ip for addresses in former.values() for each in addresses]
    networks: list[_Network] = []
    for node in plan.nodes.values():
        networks += [each.network for each in node.access.routes]
        networks += [node.network.cidr] if node.network else []
    versions = {each.version for node in plan.nodes.values() for each in node.overlay.addresses}
    return {
        name: tuple(
            each
            for each in addresses
            if each.version in versions
            and claims.count(each.ip) == 1
            and not any(_overlap(each.network, network) for network in networks)
        )
        for name, addresses in former.items()
    }


def _overlap(one: _Network, other: _Network) -> bool:
    return one.version == other.version and (one[0] in other or other[0] in one)


def _leads(member: _Member, held: Sequence[_Interface]) -> tuple[_Address, ...]:
    """Return where a member's name leads: in each family to an address that is in force everywhere.

    A name leads to a new IPv6 address only when that is in force, because programs try IPv6 first.
    """
    found = []
    for wanted in member.wanted:
        former = [
            each.ip
            for each in held
            if each.version == wanted.version and member.in_force(each.ip, each.network)
        ]
        if member.in_force(wanted) or (not former and (wanted.version == 4 or member.own is None)):
            found.append(wanted)
        else:
            found += former[:1]
    return tuple(found)
