"""Pure: what becomes of a server and its address when the stack file wishes for others."""

from collections.abc import Iterator, Mapping
from typing import Final

from mesh.plan.dangers import Loss
from mesh.program.machines.base import Family
from mesh.program.machines.hetzner.wishes import Present
from mesh.settings.machines import HetznerMachine

__all__ = ["loss_of"]

_NAMES: Final[Mapping[Family, str]] = {"ipv4": "IPv4", "ipv6": "IPv6"}


def loss_of(
    wanted: HetznerMachine | None,
    server: Present | None,
    *,
    location: str | None,
    addresses: Mapping[Family, str | None],
    protected: bool = False,
) -> Loss:
    """Return what a run takes away.

    `wanted` is None for a node that is taken out, `server` where there are only addresses. `location` is that
    of server or address, None where it is not known, `addresses` are the public ones (None: not known).
    `protected` is whether the cloud protects one of them.
    """
    lost = _lost(server, addresses)
    if wanted is None:
        return Loss(everything=lost, protected=protected)
    waits: list[str] = []
    if server is not None:
        pairs = ((wanted.location, location), (wanted.type, server.type))
        waits = [f"{wish} (now {has})" for wish, has in pairs if has not in {None, wish}]
    moves = _moves(wanted, server, location, lost)
    return Loss(
        everything=lost,
        moves=moves,
        changes=_changes(wanted, server),
        waits=tuple(waits),
        protected=protected,
        gives_back=() if server is None else tuple(_given_back(wanted, addresses)),
    )


def _given_back(wanted: HetznerMachine, addresses: Mapping[Family, str | None]) -> Iterator[str]:
    for family, address in addresses.items():
        if family not in wanted.families:
            shown = "" if address is None else f" {address}"
            yield (
                f"gives its public {_NAMES[family]} address{shown} back: the server is powered off for a "
                f"minute or two, and its tunnels stop until every node has its other endpoint"
            )


def _lost(server: Present | None, addresses: Mapping[Family, str | None]) -> str:
    known = [address for address in addresses.values() if address is not None]
    several = len(addresses) > 1
    said = " ".join((f"its public address{'es' if several else ''}", " and ".join(known))).rstrip()
    back = f"{said} {'are' if several else 'is'} given back"
    return back if server is None else f"its server is deleted with its disk, and {back}"


def _moves(wanted: HetznerMachine, server: Present | None, location: str | None, lost: str) -> str | None:
    if location in {None, wanted.location}:
        return None
    both = "" if server is None else "; both are created again there"
    return f"moves from {location} to {wanted.location}: {lost}{both}"


def _changes(wanted: HetznerMachine, server: Present | None) -> tuple[str, ...]:
    if server is None or server.type in {None, wanted.type}:
        return ()
    words = (
        f"becomes a {wanted.type} (now a {server.type}): the server is powered off for a minute or two, "
        f"and a disk that grows never shrinks again"
    )
    return (words,)
