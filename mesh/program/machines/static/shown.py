"""Which host key a server is pinned to at first contact, if a run before was stopped in the middle of it."""

import asyncio
from typing import Any, Final

import pulumi

__all__ = ["pinned"]

_KIND: Final = "ssh-ed25519"
_SECONDS: Final = 10.0


def pinned(first: str, permanent: pulumi.Output[str], *, address: str, port: int) -> pulumi.Output[str]:
    """Return `first`, the key of the stack file, or `permanent`, which first contact puts in its place.

    An sshd serves one key of each kind. So after first contact was stopped half way, a server whose first key
    is an Ed25519 key shows the permanent one. Both are known beforehand: no key is trusted for being shown.
    """
    if not first.startswith(f"{_KIND} ") or pulumi.runtime.is_dry_run():
        return pulumi.Output.from_input(first)

    async def look(wanted: str) -> str:
        return wanted if await _shown(address, port) == wanted else first

    both: pulumi.Output[Any] = permanent.apply(look)
    return both


async def _shown(address: str, port: int) -> str | None:
    """Return the Ed25519 host key that a server shows; None where it shows none."""
    import asyncssh  # noqa: PLC0415 - only where a server is met

    try:
        async with asyncio.timeout(_SECONDS):
            key = await asyncssh.get_server_host_key(address, port, server_host_key_algs=[_KIND], config=None)
    except (OSError, TimeoutError, asyncssh.Error):
        return None
    return None if key is None else " ".join(key.export_public_key().decode().split()[:2])
