"""Which nodes have finished a rotation of keys, as far as the others have to know: nothing here asks a node.

A peer that waits for a node gives up the node's former key when the peer is told that the node has finished.
So the keys of both ends must fit: each end has the newest files, each file has the key that the other end
really uses, and both files have the same pre-shared key.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from mesh.calls.reports import Report
from mesh.calls.rotations import is_done
from mesh.names import INTERFACE

__all__ = ["Seen", "evidence", "parse_keys"]

_NEXT: Final = f"{INTERFACE}-next"
"""The interface of the keys to come; it is there while a node has both."""
_PEER: Final = re.compile(
    r"^# (?P<name>\S+)\n\[Peer\]\nPublicKey = (?P<public>\S+)\n# PresharedKey = key:(?P<preshared>\S+)$",
    re.MULTILINE,
)
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{43}=")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A node as it was found: its report, the document that the state has, public keys by interface."""

    report: Report
    document: str
    keys: Mapping[str, str]

    @property
    def rotates(self) -> bool:
        """Whether the node waits for others, or others may have to wait for it."""
        return self.report.rotation is not None and self.report.rotation.under_way

    @property
    def newest(self) -> bool:
        """Whether the node has committed what the state has for it."""
        return self.report.current == self._digest

    @property
    def finished(self) -> bool:
        """Whether the node is what its newest files say."""
        return is_done(self.report, self._digest)

    @property
    def _digest(self) -> str:
        return hashlib.sha256(self.document.encode()).hexdigest()

    @cached_property
    def peers(self) -> dict[str, tuple[str, str]]:
        """Each peer's public key and the fingerprint of its pre-shared key, as the document has them."""
        return {each["name"]: (each["public"], each["preshared"]) for each in _PEER.finditer(self.document)}

    @property
    def key(self) -> str | None:
        """The public key that the node has in the end."""
        return self.keys.get(_NEXT) or self.keys.get(INTERFACE)


def parse_keys(text: str) -> dict[str, str]:
    """Read what `wg show all public-key` prints; lines of another shape are left out."""
    found = {}
    for line in text.splitlines():
        interface, _, key = line.partition("\t")
        if interface in {INTERFACE, _NEXT} and _KEY.fullmatch(key):
            found[interface] = key
    return found


def evidence(waiting: str, seen: Mapping[str, Seen]) -> dict[str, str]:
    """Return the nodes that have finished, with their public keys: what a node that rotates has to know."""
    own = seen[waiting]
    if not own.newest:
        return {}
    found = {}
    for name, (public, preshared) in own.peers.items():
        other = seen.get(name)
        if other is None or not other.finished or other.key != public:
            continue
        if other.peers.get(waiting) == (own.key, preshared):
            found[name] = public
    return found
