"""Addresses inside the mesh that change: both are held until every node has committed the new one.

Three runs: in the first one every node and its peers know both addresses, and names lead to the former one;
in the second one names lead to the new address; the third one takes the former address away. What has been
reached is read from the files that the nodes have committed, so that a run may fail anywhere, or be killed.
"""

from collections import Counter
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
    ip_network,
)

from mesh.plan import MeshPlan
from mesh.render import Doors
from mesh.settings.endpoints import known_addresses

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

    `names` are those that it ever had. `own` are its own files, None of a client, which commits nothing;
    `others` those of nodes that know it.
    """

    names: Sequence[str]
    wanted: tuple[_Interface, ...]
    had: tuple[_Interface, ...]
    own: Doors | None
    others: Sequence[Doors]

    @property
    def name(self) -> str:
        """What it is called now."""
        return self.names[0]

    @property
    def former(self) -> tuple[_Interface, ...]:
        """The addresses that others send to and that are not wanted any more."""
        wanted = {each.ip for each in self.wanted}
        return tuple(
            each
            for each in self.had
            if each.ip not in wanted and any(self.known_to(doors, each.ip) for doors in self.others)
        )

    def known_to(self, doors: Doors, address: _Address) -> bool:
        """Whether a node sends to it at this address."""
        return any(str(address) in doors.allowed.get(name, ()) for name in self.names)

    def has(self, address: _Address) -> bool:
        """Whether the member itself has the address."""
        return any(each.ip == address for each in (self.had if self.own is None else self.own.addresses))

    def in_force(self, address: _Address, network: _Network | None = None) -> bool:
        """Whether the member has the address, and others send to it: all with an address in `network`."""
        return self.has(address) and all(
            self.known_to(doors, address)
            for doors in self.others
            if network is None or any(each.ip in network for each in doors.addresses)
        )

    def sends_from(self, former: Sequence[_Interface]) -> bool:
        """Whether a name leads into a network in which the node has only a former address to send from."""
        left = {each.network for each in former} - {each.network for each in self.wanted}
        named = self.own.named if self.own else ()
        return any(ip_address(text) in network for text in named for network in left)

    def named(self, former: Sequence[_Interface]) -> bool:
        """Whether all names lead to the wanted addresses, and none to a former one."""
        files = [doors for doors in (self.own, *self.others) if doors is not None]
        return all(
            doors.named.issuperset(str(each.ip) for each in self.wanted)
            and doors.named.isdisjoint(str(each.ip) for each in former)
            for doors in files
        )


def plan_renumbering(
    plan: MeshPlan, committed: Mapping[str, Doors], out: Collection[str] = ()
) -> Renumbering:
    """Decide what becomes of former addresses; `committed` has, by node, what it has committed.

    `out` are nodes that took no part before this run: what their files say of others is old. A node that did
    not learn of it, as its apply failed, still uses their former addresses. An address is not held if another
    member has it now, if it lies in a network that others claim, or if the mesh does not have its family any
    more.
    """
    doors = {name: each for name, each in committed.items() if plan.nodes[name].enabled}
    known = {name: each for name, each in doors.items() if name not in out}
    members = [*_nodes(plan, doors, known), *_clients(plan, known)]
    free = _free(plan, members)
    held = {
        each.name: free[each.name]
        for each in members
        if free[each.name] and (not each.named(free[each.name]) or each.sends_from(free[each.name]))
    }
    return Renumbering(
        held=held,
        leads={
            each.name: leads
            for each in members
            if (leads := _leads(each, held.get(each.name, ()))) != tuple(own.ip for own in each.wanted)
        },
        ends={each.name: ends for each in members if (ends := tuple(_ends(each, held.get(each.name, ()))))},
    )


def _ends(member: _Member, held: Sequence[_Interface]) -> Iterator[_Address]:
    """Yield the former addresses that the member does not hold."""
    kept = {each.ip for each in held}
    yield from (each.ip for each in member.former if each.ip not in kept)


def _nodes(plan: MeshPlan, doors: Mapping[str, Doors], known: Mapping[str, Doors]) -> Iterator[_Member]:
    """Yield the nodes that have committed files; `known` are those whose files speak for others."""
    for name, own in doors.items():
        node = plan.nodes[name]
        names = name, *node.former
        peers = [each for other, each in known.items() if other != name and _is_peer(each, names)]
        others = [each for each in peers if not _is_old(each, names, node.overlay.addresses, own)]
        yield _Member(
            names=names,
            wanted=node.overlay.addresses,
            had=_had(names, own.addresses, others),
            own=own,
            others=others,
        )


def _clients(plan: MeshPlan, doors: Mapping[str, Doors]) -> Iterator[_Member]:
    """Yield the clients that nodes know; a device has whatever address these nodes let it have."""
    for name, client in plan.clients.items():
        others = [each for each in doors.values() if name in each.allowed]
        if others and client.enabled:
            own = [each for node in plan.nodes.values() for each in node.overlay.addresses]
            yield _Member(
                names=(name,),
                wanted=tuple(_within(address, own) for address in client.addresses),
                had=_had((name,), (), others),
                own=None,
                others=others,
            )


def _is_peer(doors: Doors, names: Sequence[str]) -> bool:
    return any(name in doors.allowed for name in names)


def _is_old(doors: Doors, names: Sequence[str], wanted: Sequence[_Interface], own: Doors) -> bool:
    """Whether these are files of a node that was out while a member got its address.

    A member names its own address once all nodes send to it. A run that is killed may have taken the node in
    again before it brought it files.
    """
    known = {text for name in names for text in doors.allowed.get(name, ())}
    named = {str(each.ip) for each in own.addresses} & own.named
    return any(str(each.ip) in named - known for each in wanted)


def _had(names: Sequence[str], own: Sequence[_Interface], others: Sequence[Doors]) -> tuple[_Interface, ...]:
    """Return the addresses that somebody may have: those committed, and those that others send to.

    A run that is killed may have changed a node without a word of it in the state.
    """
    found = {each.ip for each in own}
    texts = {text for each in others for name in names for text in each.allowed.get(name, ())}
    more = sorted({ip_address(text) for text in texts} - found, key=_order)
    around = [each for doors in others for each in doors.addresses]
    return (*own, *(_within(address, around) for address in more))


def _within(address: _Address, around: Sequence[_Interface]) -> _Interface:
    """Return an address with the network of the mesh, as others have that."""
    networks = (each.network for each in around)
    length = next((network.prefixlen for network in networks if address in network), address.max_prefixlen)
    return ip_interface((address, length))


def _order(address: _Address) -> tuple[int, int]:
    return address.version, int(address)


def _free(plan: MeshPlan, members: Sequence[_Member]) -> dict[str, tuple[_Interface, ...]]:
    """Return the former addresses that nobody else lays claim to."""
    claims = Counter(address for client in plan.clients.values() for address in client.addresses)
    claims.update(each.ip for node in plan.nodes.values() for each in node.overlay.addresses)
    claims.update(each.ip for member in members for each in member.former)
    networks = list(_claimed(plan))
    return {
        member.name: tuple(
            found
            for each in member.former
            if claims[each.ip] == 1
            and not any(_overlap(each.network, network) for network in networks)
            and (found := _beside(each, member.wanted)) is not None
        )
        for member in members
    }


def _claimed(plan: MeshPlan) -> Iterator[_Network]:
    """Yield networks and addresses outside the mesh that packets must reach past the tunnel, or behind it."""
    for node in plan.nodes.values():
        yield from (each.network for each in node.access.routes)
        yield from () if node.network is None else (node.network.cidr,)
        yield from (ip_network(address) for address in known_addresses(node.machine))


def _beside(former: _Interface, wanted: Sequence[_Interface]) -> _Interface | None:
    """Return a former address as it is held beside the new one of its family; None where that cannot be.

    A node whose network is only a part of the former one cannot send to the rest of that.
    """
    for each in wanted:
        if each.version == former.version:
            if former.ip in each.network:
                return ip_interface((former.ip, each.network.prefixlen))
            return None if _overlap(former.network, each.network) else former
    return None


def _overlap(one: _Network, other: _Network) -> bool:
    return one.version == other.version and (one[0] in other or other[0] in one)


def _leads(member: _Member, held: Sequence[_Interface]) -> tuple[_Address, ...]:
    """Return where a member's name leads: in each family to an address that is in force everywhere.

    Of several former addresses, each node takes the first one that is in a network where it has an address.
    A name leads to a new IPv6 address only when that is in force, because programs try IPv6 first. Where none
    is in force, as a node that was out has old files, a name leads to what the member has.
    """
    found = []
    for wanted in (each.ip for each in member.wanted):
        former = [
            each.ip
            for each in held
            if each.version == wanted.version and member.in_force(each.ip, each.network)
        ]
        if not former and member.own is not None and not member.has(wanted):
            former = [each.ip for each in held if each.version == wanted.version and member.has(each.ip)]
        if member.in_force(wanted) or (not former and (wanted.version == 4 or member.own is None)):
            found.append(wanted)
        else:
            found += former
    return tuple(found)
