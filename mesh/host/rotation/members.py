"""The peers that a rotation concerns, as the committed files have them, and the key to speak with each."""

from __future__ import annotations

import ipaddress

from ..files.keystore import public_key, require_keys
from ..records import dataclass
from .messages import key_of
from .peers import known_peers
from .plan import named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Optional

    from ..files.generation import Generation
    from ..places import Places
    from .peers import Known
    from .plan import Plan
    from .progress import Progress

__all__ = ["Members", "members_of"]


@dataclass(frozen=True)
class Members:
    """The own IPv4 address inside the mesh, and the peers that are spoken to.

    `heard` are all own addresses: while addresses move, peers may send to another one than the first. By name
    there are the key of a peer's messages, the public key it gets, and its address; `names` are by the
    addresses that a peer may send from.
    """

    own: str
    heard: tuple[str, ...]
    peers: tuple[Known, ...]
    keys: Mapping[str, bytes]
    publics: Mapping[str, str]
    addresses: Mapping[str, str]
    names: Mapping[str, str]


def members_of(places: Places, generation: Generation, plan: Optional[Plan], progress: Progress) -> Members:
    """Return those that are to be spoken with. Raises `AgentError` where a key is lost."""
    file = generation.file
    peers = known_peers(file, plan, progress)
    keys = require_keys(places, file.key_names())
    public = public_key(keys[file.private])
    by_name = {peer.name: named(file)[peer.name] for peer in peers}
    own = tuple(str(each.ip) for each in map(ipaddress.ip_interface, file.addresses) if each.version == 4)
    return Members(
        own=own[0],
        heard=own,
        peers=tuple(peers),
        keys={
            name: key_of(public, peer.public_key, keys[peer.preshared] if peer.preshared else None)
            for name, peer in by_name.items()
        },
        publics={name: peer.public_key for name, peer in by_name.items()},
        addresses={peer.name: peer.address for peer in peers},
        names={
            each[: -len("/32")]: name
            for name, peer in by_name.items()
            for each in peer.allowed_ips
            if each.endswith("/32")
        },
    )
