"""Who reaches whom through the tunnel before and after, from the files that both have: peers and firewall."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from mesh.review.elements import NotUnderstoodError
from mesh.review.files import Peer
from mesh.review.nodes import SIDES, Files, NodeChange, Side
from mesh.review.rules import Packet
from mesh.review.traffic import ECHO_REQUEST, EVERYTHING, NOTHING, Traffic

__all__ = ["Difference", "Reach", "compare_reach", "shown"]

_STAYS: Final = "if the node whose files are not in this preview has the other one as a peer"
_CALLS: Final = "once the device has its configuration, or the node that only calls has its files"
_WITHOUT_ICMP: Final = replace(EVERYTHING, icmp=((ECHO_REQUEST, ECHO_REQUEST),))


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What a sender may begin with a node, and could not before; or the other way round.

    `traffic` is None where that is all that the node lets in, which the preview does not show. `note` says on
    what the statement depends.
    """

    source: str
    target: str
    traffic: Traffic | None
    note: str = ""


Network = IPv4Network | IPv6Network


@dataclass(frozen=True, kw_only=True, order=True)
class _End:
    """One end of a connection: a node, or a network behind it."""

    node: str
    behind: tuple[Network, ...] = ()

    def text(self, node: str) -> str:
        """Return words for it; `node` is the name of its node as people see it."""
        return f"{self.behind[0]} behind {node}" if self.behind else node


@dataclass(kw_only=True)
class Reach:
    """All differences; `untold` are the nodes of which nothing can be said, and why."""

    gained: list[Difference] = field(default_factory=list)
    lost: list[Difference] = field(default_factory=list)
    untold: dict[str, str] = field(default_factory=dict)


def shown(mesh: str, name: str) -> str:
    """Return a node's name as people see it: with its mesh's name, but for the mesh called `mesh`."""
    return f"{mesh}.{name}" if mesh else name


def compare_reach(nodes: Mapping[str, NodeChange], disabled: Collection[tuple[str, str]]) -> Reach:
    """Compare all pairs of nodes that the preview knows anything new of; `nodes` are by their URNs.

    `disabled` are the nodes, each with its mesh, that were out of it before: no node had them as peers.
    """
    reach = Reach()
    for mesh in sorted({node.mesh for node in nodes.values()}):
        out = {name for prefix, name in disabled if prefix == mesh}
        _Mesh(mesh, [node for node in nodes.values() if node.mesh == mesh], out).compare(reach)
    return reach


class _Mesh:
    """The nodes of one mesh by their new names, and the peers of each on both sides."""

    def __init__(self, mesh: str, nodes: list[NodeChange], out: Collection[str]) -> None:
        self._mesh = mesh
        self._out = out
        self._nodes = {node.name: node for node in nodes if node.touched}
        self._renamed = {node.former: node.name for node in nodes if node.former != node.name}
        self._peers: dict[tuple[str, Side], Mapping[str, Peer]] = {}
        self._wrong: dict[str, str] = {}
        for name, node in self._nodes.items():
            for side in SIDES:
                self._read(name, node, side)

    def _read(self, name: str, node: NodeChange, side: Side) -> None:
        files = node.on(side)
        if side in node.hidden:
            self._wrong[name] = "its files are not known before `up`"
        elif files is not None:
            try:
                peers = files.tunnel.peers
                _ = files.firewall
            except NotUnderstoodError as error:
                self._wrong[name] = f"its files have {error}"
                return
            former = self._renamed if side == "before" else {}
            self._peers[name, side] = {former.get(peer, peer): each for peer, each in peers.items()}

    def compare(self, reach: Reach) -> None:
        """Add what is different."""
        for name, why in self._wrong.items():
            reach.untold[shown(self._mesh, name)] = why
        for target in self._nodes:
            if target not in self._wrong:
                ends = self._ends(target)
                for source in self._known_to(target):
                    for end in ends:
                        self._pair(source, end, reach)
        for one, other in self._to_untouched("before", "after"):
            reach.lost.append(self._difference(_End(node=one), _End(node=other)))
        for one, other in self._to_untouched("after", "before"):
            reach.gained.append(
                self._difference(_End(node=one), _End(node=other), note=self._note(one, other))
            )

    def _difference(
        self, source: _End, target: _End, traffic: Traffic | None = None, note: str = ""
    ) -> Difference:
        return Difference(
            source=source.text(self._shown(source.node)),
            target=target.text(self._shown(target.node)),
            traffic=traffic,
            note=note,
        )

    def _shown(self, name: str) -> str:
        return shown(self._mesh, name)

    def _known_to(self, target: str) -> list[_End]:
        """Return the peers of a node on either side, and the networks behind them."""
        found = {
            end
            for side in SIDES
            for name, peer in self._peers.get((target, side), {}).items()
            for end in (_End(node=name), *(_End(node=name, behind=(each,)) for each in peer.networks))
        }
        return sorted(found, key=_order)

    def _ends(self, target: str) -> list[_End]:
        """Return a node and the networks behind it on either side."""
        sides = (self._nodes[target].on(side) for side in SIDES)
        behind = {network for files in sides if files is not None for network in files.firewall.behind}
        return sorted(
            [_End(node=target), *(_End(node=target, behind=(each,)) for each in behind)], key=_order
        )

    def _to_untouched(self, side: Side, other: Side) -> Iterator[tuple[str, str]]:
        """Yield pairs whose target stays as it is, while the source has it as a peer on one side only."""
        for source in self._nodes:
            if source in self._wrong or (side == "before" and source in self._out):
                continue
            for target in self._peers.get((source, side), ()):
                if target not in self._peers.get((source, other), {}) and target not in self._nodes:
                    yield source, target

    def _pair(self, source: _End, target: _End, reach: Reach) -> None:
        try:
            before, after = (self._traffic(source, target, side) for side in SIDES)
        except NotUnderstoodError as error:
            reach.untold.setdefault(self._shown(target.node), str(error))
            return
        if gained := after - before:
            known = source.node in self._nodes or source.node in self._peers.get((target.node, "before"), {})
            reach.gained.append(
                self._difference(
                    source, target, gained, "" if known else self._note(target.node, source.node)
                )
            )
        if lost := before - after:
            reach.lost.append(self._difference(source, target, lost))

    def _note(self, viewer: str, other: str) -> str:
        """Return what must be added of a peer whose files the preview does not have."""
        peer = self._peers.get((viewer, "after"), {}).get(other)
        return _CALLS if peer is not None and peer.calls else _STAYS

    def _traffic(self, source: _End, target: _End, side: Side) -> Traffic:
        files = self._nodes[target.node].on(side)
        peer = self._peers.get((target.node, side), {}).get(source.node)
        if files is None or peer is None or not self._has_peer(source.node, target, side):
            return NOTHING
        if source.behind:
            sent = list(_from_network(files, source.behind[0], target))
            found = EVERYTHING if sent and source.behind[0] in peer.networks else NOTHING
            for packet in sent:
                found &= files.firewall.let_in(packet)
            return found
        found = NOTHING
        for packet in _packets(
            files, peer, self._sends(source.node, side), self._sends(target.node, side), target
        ):
            found |= _either_family(files.firewall.let_in(packet), packet.version)
        return found

    def _sends(self, name: str, side: Side) -> set[str] | None:
        """Return the addresses that a node has in the tunnel; None where its files are not in the preview."""
        node = self._nodes.get(name)
        files = None if node is None or name in self._wrong else node.on(side)
        return None if files is None else {str(each.ip) for each in files.tunnel.addresses}

    def _has_peer(self, source: str, target: _End, side: Side) -> bool:
        """Whether the source has the target as a peer, too, with its network: else there is no session."""
        if source in self._wrong:
            raise NotUnderstoodError(f"{self._shown(source)}: {self._wrong[source]}")
        if source in self._nodes:
            peer = self._peers.get((source, side), {}).get(target.node)
            return peer is not None and set(target.behind) <= set(peer.networks)
        return side == "after" or not {source, target.node} & set(self._out)


def _either_family(traffic: Traffic, version: int) -> Traffic:
    """Leave out of ICMP what IPv6 itself needs, as neighbour discovery: both families are told as one."""
    return traffic if version == 4 or traffic.icmp == EVERYTHING.icmp else traffic & _WITHOUT_ICMP


def _order(end: _End) -> tuple[object, ...]:
    return end.node, [(each.version, int(each[0]), each.prefixlen) for each in end.behind]


def _packets(
    files: Files, peer: Peer, sends: set[str] | None, receives: set[str] | None, target: _End
) -> Iterator[Packet]:
    """Yield what the peer can send: from its own addresses, as far as they are allowed, to the target's."""
    for source in peer.allowed:
        if sends is not None and str(source) not in sends:
            continue
        if target.behind:
            yield from _to_network(files, source, target.behind[0])
            continue
        for own in files.tunnel.addresses:
            if own.version == source.version and (receives is None or str(own.ip) in receives):
                yield Packet(interface=files.tunnel.interface, source=source, target=own.ip)


def _to_network(files: Files, source: IPv4Address | IPv6Address, network: Network) -> Iterator[Packet]:
    if source.version == network.version and network in files.firewall.behind:
        yield Packet(interface=files.tunnel.interface, source=source, target=network[0], onward=True)


def _from_network(files: Files, network: Network, target: _End) -> Iterator[Packet]:
    """Yield what hosts in a network can send, from its first and last address: what holds for both holds."""
    interface = files.tunnel.interface
    for source in {network[0], network[-1]}:
        if target.behind:
            packets = list(_to_network(files, source, target.behind[0]))
        else:
            packets = [
                Packet(interface=interface, source=source, target=own.ip)
                for own in files.tunnel.addresses
                if own.version == source.version
            ]
        yield from packets
