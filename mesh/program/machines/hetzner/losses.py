"""Pure: what becomes of a server and its address when the stack file wishes for others."""

from mesh.plan.dangers import Loss
from mesh.program.machines.hetzner.wishes import Present
from mesh.settings.machines import HetznerMachine

__all__ = ["loss_of"]


def loss_of(
    wanted: HetznerMachine | None,
    server: Present | None,
    *,
    location: str | None,
    ip: str | None,
    protected: bool = False,
) -> Loss:
    """Return what a run takes away.

    `wanted` is None for a node that is taken out, `server` where there is only an address. `location` and
    `ip` are those of server or address, None where they are not known. `protected` is whether the cloud
    protects one of them.
    """
    lost = _lost(server, ip)
    if wanted is None:
        return Loss(everything=lost, protected=protected)
    waits: list[str] = []
    if server is not None:
        pairs = ((wanted.location, location), (wanted.type, server.type))
        waits = [f"{wish} (now {has})" for wish, has in pairs if has not in {None, wish}]
    return Loss(
        everything=lost,
        moves=_moves(wanted, server, location, lost),
        changes=_changes(wanted, server),
        waits=tuple(waits),
        protected=protected,
    )


def _lost(server: Present | None, ip: str | None) -> str:
    address = "its public address" if ip is None else f"its public address {ip}"
    if server is None:
        return f"{address} is given back"
    return f"its server is deleted with its disk, and {address} is given back"


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
