"""What must come in is tried before a change, and looked for afterwards; what is in the way is named."""

from __future__ import annotations

from ..answers import AgentError, Answer
from ..difference import Difference
from ..files.document import FIREWALL
from ..live.firewall import live_text
from ..live.foreign import Ruleset, foreign_chains, foreign_rulesets, may_drop
from ..live.sshd import wanted_ports
from ..live.sshd_service import ssh_ports
from ..places import TABLE
from ..records import replace
from ..system.run import attempt, log
from .doors import find_doors, is_own, networks_behind
from .knocks import Door, Knock, egress_knocks, forwarded_knocks, mesh_knocks, ssh_knocks, wireguard_knocks
from .packets import Outcome, try_packets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Optional

    from ..files.generation import Generation
    from ..system.session import Session
    from ..tunnel import Tunnel

__all__ = ["obstacles", "prove_not_locked_out"]

_OURS = ("inet", TABLE)
_UNSEEN = "no rule was found: the cause is routing, or a table of family netdev or bridge"
_SHOWN = 3
_FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


def prove_not_locked_out(
    tunnel: Tunnel, generation: Generation, session: Session, *, first: bool
) -> Optional[list[Difference]]:
    """Refuse a firewall that would lock the operator out, let a stranger in to SSH, or cut the mesh off.

    The host's whole ruleset with ours in it is loaded in a scratch network namespace, and packets come: to
    SSH from this session's address, from both ends of every declared source of both families, and from
    nobody's; to WireGuard from every peer's endpoint; through the tunnel to what the policy allows. What
    another owner's rule stops today as well is returned and not refused, but for this very
    session, which could not come again to confirm; and but for WireGuard at the `first` change of a host.
    None where it could not be run. Raises `AgentError` (REFUSED).
    """
    knocks = _knocks(tunnel, generation, session, find_doors(tunnel, session))
    others = foreign_rulesets()
    outcome = try_packets(tunnel, knocks, others, generation.firewall)
    if outcome is None:
        log("could not run the lock-out check here; only the rollback guards this change")
        return None
    failed = [knock for knock in outcome.failed() if _counts(outcome, knock)]
    before = _entered_before(tunnel, failed, others)
    for knock in failed:
        reason = _refused(knock, outcome, session, worse=knock in before)
        if reason:
            raise AgentError(Answer.REFUSED, f"{FIREWALL}: {knock} {reason}")
    if first and _all_peers_stopped(knocks, failed):
        stopped = next(knock for knock in failed if knock.protocol == "udp" and knock.source_port)
        raise AgentError(
            Answer.REFUSED,
            f"{stopped} and all other peers is dropped, so the mesh cannot work: {_why(outcome, stopped)}",
        )
    return _differences(failed, outcome)


def _knocks(
    tunnel: Tunnel, generation: Generation, session: Optional[Session], doors: Sequence[Door]
) -> list[Knock]:
    ports = [*([session.port] if session else []), *wanted_ports(generation.firewall)] or ssh_ports()
    through = mesh_knocks(tunnel, generation)
    forwarded = [version for version, key in _FORWARDING.items() if generation.sysctls.get(key) == "1"]
    return [
        *(knock for port in dict.fromkeys(ports) for knock in ssh_knocks(generation, doors, port, session)),
        *wireguard_knocks(generation, doors),
        *through,
        *egress_knocks(tunnel, generation, doors),
        *forwarded_knocks(through, networks_behind(tunnel, forwarded)),
    ]


def _is_wireguard(knock: Knock) -> bool:
    return knock.source_port != 0


def _is_ssh(knock: Knock) -> bool:
    return knock.what.startswith("SSH")


def _counts(outcome: Outcome, knock: Knock) -> bool:
    """Leave out what goes through the tunnel and nobody else was seen to drop: say, a container's port."""
    return _is_ssh(knock) or _is_wireguard(knock) or outcome.table.get(knock, _OURS) != _OURS


def _entered_before(tunnel: Tunnel, failed: Sequence[Knock], others: Sequence[Ruleset]) -> set[Knock]:
    """Tell which of these come in with the host's rules as they are now, WireGuard on its port of now."""
    if not failed:
        return set()
    shown = (attempt(["wg", "show", tunnel.interface, "listen-port"]) or "").strip()
    now = {
        knock: replace(knock, port=int(shown)) if _is_wireguard(knock) and shown.isdigit() else knock
        for knock in failed
    }
    outcome = try_packets(tunnel, list(dict.fromkeys(now.values())), others, live_text())
    return {knock for knock, then in now.items() if outcome and outcome.entered[then]}


def _refused(knock: Knock, outcome: Outcome, session: Session, *, worse: bool) -> str:
    """Say why a failed knock is reason to refuse; nothing when it is not."""
    ours = outcome.table.get(knock) == _OURS
    if not knock.welcome:
        return "would be let in, but its address is not in ssh.from"
    if _is_ssh(knock) and knock.source == session.client:
        return f"(this session) would be cut off: {_why(outcome, knock)}"
    if _is_ssh(knock) and (worse or ours):
        return f"(a declared source) would be cut off: {_why(outcome, knock)}"
    if _is_wireguard(knock) and (worse or ours):
        return f"(a peer) would be dropped, and its tunnel cut: {_why(outcome, knock)}"
    return ""


def _why(outcome: Outcome, knock: Knock) -> str:
    if outcome.table.get(knock) == _OURS:
        return f"no rule accepts it ({outcome.stopped_by[knock]})"
    stopped = outcome.stopped_by.get(knock)
    return f"dropped by {stopped}" if stopped else _UNSEEN


def _all_peers_stopped(knocks: Sequence[Knock], failed: Sequence[Knock]) -> bool:
    peers = [knock for knock in knocks if _is_wireguard(knock)]
    return bool(peers) and all(knock in failed for knock in peers)


def obstacles(tunnel: Tunnel, generation: Generation, session: Optional[Session]) -> list[Difference]:
    """Say what others' rules drop of what should come in, as things are; costs nothing where there are none.

    Changes nothing.
    """
    if not may_drop():
        return []
    doors = [door for door in find_doors(tunnel, session) if is_own(door)]
    knocks = [knock for knock in _knocks(tunnel, generation, session, doors) if knock.welcome]
    outcome = try_packets(tunnel, knocks, foreign_rulesets(), live_text())
    if outcome is None:
        return []
    failed = [knock for knock in outcome.failed() if outcome.table.get(knock, ("", "")) != _OURS]
    return _differences([knock for knock in failed if _counts(outcome, knock)], outcome)


def _differences(failed: Sequence[Knock], outcome: Outcome) -> list[Difference]:
    """Put together what one rule stops: a line for each kind of packet and each rule."""
    sources: dict[tuple[str, str], list[str]] = {}
    for knock in failed:
        sources.setdefault((knock.what, _why(outcome, knock)), []).append(knock.source)
    kinds: dict[tuple[str, str], list[str]] = {}
    for (what, why), names in sources.items():
        kinds.setdefault((_shown(list(dict.fromkeys(names))), why), []).append(what)
    found = [
        Difference(f"{_shown(whats)} from {names}", why, "let in") for (names, why), whats in kinds.items()
    ]
    return found + [
        Difference(
            name, f"drops by default in {chains}, and cannot be tried: {reason}", "rules that can be tried"
        )
        for name, reason in outcome.untried
        for chains in [_dropping_chains(name)]
        if chains
    ]


def _shown(sources: Sequence[str]) -> str:
    more = len(sources) - _SHOWN
    return ", ".join(sources[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _dropping_chains(name: str) -> str:
    """Return the chains of a table, `table FAMILY NAME`, that drop what no rule accepts."""
    chains = [
        chain.name
        for chain in foreign_chains()
        if chain.drops and name == f"table {chain.family} {chain.table}"
    ]
    return ", ".join(chains)
