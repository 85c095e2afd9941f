"""Names of tables and chains of nftables, as the kernel tells of them, without a process of `nft`."""

from __future__ import annotations

import os
import socket
import struct

from ..answers import AgentError, Answer
from ..records import dataclass
from .netlink import HEADER, NETFILTER, NFTABLES, Message, attributes, parts, text
from .netlink import message as as_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Chain", "base_chains", "tables"]

# linux/netlink.h, linux/netfilter/nf_tables.h
_REQUEST, _DUMP, _DUMP_INTERRUPTED, _ERROR, _DONE = 0x1, 0x300, 0x10, 2, 3
_GET_TABLE, _GET_CHAIN = 1, 4
_TABLE_NAME = 1
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY = 1, 3, 4, 5
_HOOK_NUMBER = 1
_DROP = bytes(4)
_CODE = struct.Struct("=i")
_ALL_FAMILIES = bytes(4)
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_EGRESS = ("netdev", 1)
# Seconds; the kernel answers at once.
_TIMEOUT = 10.0
_MOST = 1 << 16
# A listing that changed under way is asked for again.
_TRIES = 5


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


def _asked(kind: int) -> list[Message]:
    for _try in range(_TRIES):
        try:
            found = [*_answers(kind)]
        except InterruptedError:
            continue
        except OSError as error:
            why = error.strerror or error
            raise AgentError(Answer.FAILED, f"the kernel does not tell of its firewall: {why}") from None
        return found
    raise AgentError(Answer.FAILED, "the firewall changes all the time: try again")


def _answers(kind: int) -> Iterator[Message]:
    """Yield all tables or chains. Raises `OSError`; `InterruptedError` where something changed meanwhile."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETFILTER) as kernel:
        kernel.settimeout(_TIMEOUT)
        size = HEADER.size + len(_ALL_FAMILIES)
        kernel.send(HEADER.pack(size, NFTABLES << 8 | kind, _REQUEST | _DUMP, 1, 0) + _ALL_FAMILIES)
        while True:
            for answer, flags, payload in parts(kernel.recv(_MOST)):
                if flags & _DUMP_INTERRUPTED:
                    raise InterruptedError
                if answer in (_ERROR, _DONE):
                    code = -_CODE.unpack_from(payload)[0]
                    if code:
                        raise OSError(code, os.strerror(code))
                    return
                yield as_message(answer, payload)
