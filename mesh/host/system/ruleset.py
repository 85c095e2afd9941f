"""Names of tables and chains of nftables, and the number of its last change, without a process of `nft`."""

from __future__ import annotations

from ..answers import AgentError, Answer
from ..records import dataclass
from .netlink import NETFILTER, NFTABLES, Message, ask, attributes, message, text

__all__ = ["Chain", "base_chains", "change_number", "tables"]

# linux/netfilter/nf_tables.h
_GET_TABLE, _GET_CHAIN, _GET_GENERATION = 1, 4, 16
_TABLE_NAME, _GENERATION_NUMBER = 1, 1
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY = 1, 3, 4, 5
_HOOK_NUMBER = 1
_DROP = bytes(4)
_ALL_FAMILIES = bytes(4)
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_EGRESS = ("netdev", 1)


@dataclass(frozen=True)
class Chain:
    """A chain that sees packets: where it is, whether it sees only those that leave, its policy."""

    family: str
    table: str
    name: str
    egress: bool
    drops: bool


def tables() -> list[tuple[str, str]]:
    """Return family and name of every table of this network namespace. Raises `AgentError`."""
    return [
        (_FAMILIES.get(each.family, str(each.family)), text(each.attributes.get(_TABLE_NAME)))
        for each in _asked(_GET_TABLE)
    ]


def base_chains() -> list[Chain]:
    """Return the chains that have a hook. Raises `AgentError`."""
    return [_chain(each) for each in _asked(_GET_CHAIN) if _CHAIN_HOOK in each.attributes]


def change_number() -> int:
    """Return the number of the last change of this network namespace's ruleset: of any table, by anybody.

    What packets do (counters, elements that they add) is no change. Raises `AgentError`.
    """
    for told in _asked(_GET_GENERATION, dump=False):
        if _GENERATION_NUMBER in told.attributes:
            return int.from_bytes(told.attributes[_GENERATION_NUMBER], "big")
    raise AgentError(Answer.FAILED, "the kernel does not tell of its firewall: it does not count changes")


def _chain(told: Message) -> Chain:
    family = _FAMILIES.get(told.family, str(told.family))
    hook = attributes(told.attributes[_CHAIN_HOOK]).get(_HOOK_NUMBER, bytes(4))
    return Chain(
        family,
        text(told.attributes.get(_CHAIN_TABLE)),
        text(told.attributes.get(_CHAIN_NAME)),
        egress=(family, int.from_bytes(hook, "big")) == _EGRESS,
        drops=told.attributes.get(_CHAIN_POLICY) == _DROP,
    )


def _asked(kind: int, *, dump: bool = True) -> list[Message]:
    try:
        found = ask(NETFILTER, NFTABLES << 8 | kind, _ALL_FAMILIES, dump=dump)
    except InterruptedError:
        raise AgentError(Answer.FAILED, "the firewall changes all the time: try again") from None
    except OSError as error:
        why = error.strerror or error
        raise AgentError(Answer.FAILED, f"the kernel does not tell of its firewall: {why}") from None
    return [message(answer, payload) for answer, payload in found]
