"""Pure: which keys a node changes from and to, by peer; fixed at the commit of a document with other keys."""

from __future__ import annotations

import ipaddress
import json

from ..records import asdict, dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Optional

    from ..files.wgconf import WgFile, WgPeer

__all__ = [
    "Keys",
    "PeerKeys",
    "Plan",
    "address_of",
    "continued",
    "named",
    "parse_plan",
    "plan_between",
    "plan_json",
]

_FORMAT = 1


@dataclass(frozen=True)
class PeerKeys:
    """What stands for a peer: its public key, and the fingerprint of the pair's pre-shared key."""

    public_key: str
    preshared: Optional[str]


@dataclass(frozen=True)
class Keys:
    """All keys of an interface: the fingerprint of its own, and those of peers by name."""

    private: str
    peers: Mapping[str, PeerKeys]


@dataclass(frozen=True)
class Plan:
    """The keys before and after; only peers that both documents have, so both have the same names.

    `clients` are the peers that are devices. The ports must stay the same as long as the plan is in force.
    """

    before: Keys
    to: Keys
    clients: frozenset[str]
    port: int
    next_port: int

    @property
    def digest(self) -> str:
        """The plan's name: SHA-256 of its JSON, in hex."""
        from hashlib import sha256

        return sha256(plan_json(self)).hexdigest()

    @property
    def own_changes(self) -> bool:
        """Whether the node's own key changes."""
        return self.before.private != self.to.private

    @property
    def changing(self) -> frozenset[str]:
        """The nodes with which a pair of keys, or the pre-shared key, becomes another one."""
        return frozenset(
            name
            for name, keys in self.before.peers.items()
            if name not in self.clients and (self.own_changes or keys != self.to.peers[name])
        )

    def key_names(self) -> list[str]:
        """Return the fingerprints of all keys before and after, without repetition."""
        both = (self.before, self.to)
        preshared = [peer.preshared for keys in both for peer in keys.peers.values() if peer.preshared]
        return list(dict.fromkeys([*(keys.private for keys in both), *preshared]))


def address_of(peer: WgPeer) -> Optional[str]:
    """Return a peer's overlay address, to which messages go: its first single IPv4 address, or None."""
    networks = map(ipaddress.ip_network, peer.allowed_ips)
    return next(
        (str(net.network_address) for net in networks if net.version == 4 and net.prefixlen == 32), None
    )


def named(file: WgFile) -> dict[str, WgPeer]:
    """Return the peers that a rotation can know: with a name that no other has, and an IPv4 address."""
    found: dict[str, Optional[WgPeer]] = {}
    for peer in file.peers:
        found[peer.name] = None if peer.name in found else peer
    return {name: peer for name, peer in found.items() if name and peer and address_of(peer)}


def plan_between(committed: WgFile, wanted: WgFile) -> Optional[Plan]:
    """Return how keys go from one file to the next; None where they need no rotation, or the mesh has none.

    A peer whose key is wanted for a peer of another name was renamed: the name alone says nothing of it.
    """
    if wanted.next_port is None:
        return None
    old, new = named(committed), named(wanted)
    holders = {peer.public_key: peer.name for peer in wanted.peers}
    common = [name for name in new if name in old and holders.get(old[name].public_key, name) == name]
    plan = Plan(
        before=_keys(committed.private, old, common),
        to=_keys(wanted.private, new, common),
        clients=frozenset(name for name in common if old[name].client or new[name].client),
        port=wanted.port,
        next_port=wanted.next_port,
    )
    return plan if plan.changing else None


def _keys(private: str, peers: Mapping[str, WgPeer], names: list[str]) -> Keys:
    return Keys(private, {name: _peer_keys(peers[name]) for name in names})


def _peer_keys(peer: WgPeer) -> PeerKeys:
    return PeerKeys(peer.public_key, peer.preshared)


def continued(plan: Plan, wanted: WgFile) -> Optional[str]:
    """Return None where a file may come into force before the plan's end, else what it would change.

    Addresses, endpoints, MTU and who is a peer may change, and new peers come with any key. A key beyond the
    plan's would exist nowhere else for nodes that have not got to the plan's end.
    """
    if (wanted.port, wanted.next_port) != (plan.port, plan.next_port):
        return f"the ports would no longer be {plan.port} and {plan.next_port}"
    if wanted.private != plan.to.private:
        return "this node's key would change once more"
    owners = {keys.public_key: name for side in (plan.before, plan.to) for name, keys in side.peers.items()}
    for peer in wanted.peers:
        target = plan.to.peers.get(peer.name)
        owner = owners.get(peer.public_key, peer.name)
        if target is None and owner != peer.name:
            return f"{peer.name or 'a peer without a name'} would have the key of {owner}"
        if target is not None and target != _peer_keys(peer):
            return f"the keys of {peer.name} would change once more"
    return None


def plan_json(plan: Plan) -> bytes:
    """Return the plan as it is kept on disk: names of keys, no keys."""
    value = {**asdict(plan), "format": _FORMAT, "clients": sorted(plan.clients)}
    for side, keys in (("before", plan.before), ("to", plan.to)):
        value[side] = {
            "private": keys.private,
            "peers": {name: asdict(peer) for name, peer in keys.peers.items()},
        }
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def parse_plan(raw: bytes) -> Optional[Plan]:
    """Read what `plan_json` wrote; None where it is damaged."""
    try:
        value = json.loads(raw)
        plan = Plan(
            before=_read_keys(value["before"]),
            to=_read_keys(value["to"]),
            clients=frozenset(map(_text, value["clients"])),
            port=value["port"],
            next_port=value["next_port"],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return plan if plan.before.peers.keys() == plan.to.peers.keys() and plan_json(plan) == raw else None


def _read_keys(value: Any) -> Keys:
    peers = {
        name: PeerKeys(
            _text(peer["public_key"]), None if peer["preshared"] is None else _text(peer["preshared"])
        )
        for name, peer in value["peers"].items()
    }
    return Keys(_text(value["private"]), peers)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in the place of a text")
    return value
