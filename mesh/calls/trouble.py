"""Why a connection to a node failed, in words: numbers of errors help nobody."""

import errno
import os
import re
from typing import Final

import asyncssh

__all__ = ["DOWN", "in_words"]

DOWN: Final = (
    "a node that does not answer is off, or a firewall on the way drops SSH from here. `pulumi up` starts a "
    "server at Hetzner that is off; start any other server yourself. See docs/recovering.md (A node is down)"
)
"""What helps where `in_words`, or a time limit, said that a node does not answer."""

_NO_WAY: Final = frozenset(
    (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.ETIMEDOUT)
)
_NUMBER: Final = re.compile(r"\[Errno (\d+)\] ?")
_CUT: Final = frozenset((errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED))


def in_words(error: OSError | asyncssh.Error, address: str, port: int) -> str:
    """Return what an error of a connection to `address` means; never an error's number."""
    if isinstance(error, asyncssh.PermissionDenied):
        return f"{address} does not accept this stack's SSH key for root"
    if isinstance(error, asyncssh.ConnectionLost):
        return f"{address} closed the connection before it answered"
    if isinstance(error, OSError):
        numbers = {error.errno} | {int(found) for found in _NUMBER.findall(str(error))}
        if numbers & _NO_WAY:
            return f"{address} does not answer on port {port}: no route leads there"
        if numbers & _CUT:
            return f"{address} cut the connection"
        if error.errno is not None and error.strerror:
            return f"{address}: {os.strerror(error.errno).lower()}"
    return f"{address}: {_NUMBER.sub('', str(error))}"
