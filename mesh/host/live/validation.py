"""Whether a staged generation could work on this host, before anything changes."""

from __future__ import annotations

from ..answers import AgentError, Answer
from ..files.document import FIREWALL, SYSCTL, WG_CONF
from ..files.keystore import public_key, require_keys
from .firewall import check_firewall, keep_expected
from .sysctl import check_sysctls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..files.generation import Generation
    from ..places import Places

__all__ = ["validate"]


def validate(places: Places, generation: Generation) -> None:
    """Refuse a generation that cannot work, without touching anything live. Raises `AgentError`."""
    name = generation.file.private
    public = public_key(require_keys(places, [name])[name])
    if any(peer.public_key == public for peer in generation.file.peers):
        raise AgentError(Answer.REFUSED, f"{WG_CONF}: {public} is this node's own key, not a peer's")
    check_sysctls(places.sysctls, generation.sysctls, where=SYSCTL)
    check_firewall(generation.firewall, where=FIREWALL)
    keep_expected(places, generation.firewall)
