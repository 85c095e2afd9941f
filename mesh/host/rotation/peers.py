"""Pure: what each peer is to a rotation, and in which order a pair shakes hands."""

from __future__ import annotations

import ipaddress

from ..records import dataclass
from .plan import address_of, named
from .progress import Phase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..files.wgconf import WgFile, WgPeer
    from .plan import Plan
    from .progress import Progress

__all__ = ["Kinds", "Known", "is_shy", "kinds", "known_peers"]


@dataclass(frozen=True)
class Known:
    """A peer that is spoken to, at its overlay address (IPv4); nothing is awaited of a `plain` one.

    `shy`: this node lets the peer shake hands first, because handshakes that cross cost five seconds.
    """

    name: str
    address: str
    plain: bool
    shy: bool


@dataclass(frozen=True)
class Kinds:
    """Names of the file's nodes: those that change with this node, and those that have their last keys.

    Neither are clients, peers whose keys stay, and peers that a rotation cannot know.
    """

    changing: frozenset[str]
    plain: frozenset[str]


def kinds(file: WgFile, plan: Plan, progress: Progress) -> Kinds:
    """Tell how a plan that is in force sees the nodes of the file in force.

    A peer that is seen at its end by the controller is like one that is new: it has no second interface.
    """
    nodes = frozenset(name for name, peer in named(file).items() if not peer.client)
    settled = plan.changing & progress.settled
    return Kinds(
        changing=nodes & plan.changing - settled,
        plain=nodes & (nodes - plan.before.peers.keys() | settled),
    )


def is_shy(file: WgFile, peer: WgPeer) -> bool:
    """Tell whether this node waits for the peer's handshake: that with the higher IPv4 address does."""
    own = [each.ip for each in map(ipaddress.ip_interface, file.addresses) if each.version == 4]
    other = address_of(peer)
    return bool(own and other) and int(own[0]) > int(ipaddress.ip_address(other or ""))


def known_peers(file: WgFile, plan: Optional[Plan], progress: Progress) -> list[Known]:
    """Return the peers that words go to.

    Without a plan, or at its end, those which were changing: their names are in the progress. A plain peer
    matters where it is reached by the second interface, so that one which rotates on its own can go on.
    """
    if plan is None or progress.phase is Phase.LINGER:
        changing, plain = progress.back, frozenset[str]()
    else:
        parted = kinds(file, plan, progress)
        changing, plain = parted.changing, parted.plain if plan.own_changes else frozenset()
    return [
        Known(name, address_of(peer) or "", plain=name in plain, shy=is_shy(file, peer))
        for name, peer in named(file).items()
        if not peer.client and name in changing | plain
    ]
