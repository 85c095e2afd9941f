"""Says which ports and addresses move in this run, and what the next run does: a preview's last words."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

import pulumi

from mesh.plan import MeshPlan, NodePlan
from mesh.program.access import Access
from mesh.program.renumbering import Renumbering

__all__ = ["moves", "new_addresses", "tell_moves"]

_HELD: Final = (
    "new address in the mesh. The nodes keep the former address beside the new one, and names lead to the "
    "former one. The next `up` makes names lead to the new address, and the `up` after that takes the former "
    "address away. Clients that call these nodes need their configuration again before that."
)
_HELD_OF_CLIENTS: Final = (
    "new address in the mesh. Nodes let the device in with either address until the third `up`, counted with "
    "this one: give the device its new configuration before (`mesh client NAME`)."
)
_LEADS: Final = (
    "names now lead to the new address in the mesh. The next `up` takes the former address away: end "
    "connections to the former address before."
)
_NO_IPV6: Final = (
    "new IPv6 address in the mesh. Names of nodes lead to IPv4 addresses until the nodes have committed: "
    "the next `up` adds the IPv6 addresses to the hosts files."
)
_Say = Callable[[NodePlan, Access], str | None]


def tell_moves(
    plan: MeshPlan, access: Mapping[str, Access], renumbering: Renumbering, resource: pulumi.Resource
) -> None:
    """Warn of each move, once."""
    for words in (*moves(plan, access), *new_addresses(renumbering, plan.clients)):
        pulumi.log.warn(words, resource)


def moves(plan: MeshPlan, access: Mapping[str, Access]) -> Iterator[str]:
    """Yield a sentence for each port that moves, with all nodes that it concerns."""
    for say in (_ssh, _wireguard):
        said: dict[str, list[str]] = {}
        for name, node in plan.nodes.items():
            words = say(node, access[name]) if node.enabled else None
            if words is not None:
                said.setdefault(words, []).append(name)
        for words, names in said.items():
            yield f"{', '.join(names)}: {words}"


def _ssh(node: NodePlan, access: Access) -> str | None:
    had, wanted = access.committed, node.access.ssh_port
    if had is None or had.ssh_ports == (wanted,):
        return None
    others = [port for port in had.ssh_ports if port != wanted]
    former = ", ".join(str(port) for port in others)
    if wanted not in had.ssh_ports:
        return (
            f"SSH moves from port {access.port} to {wanted}. sshd now listens on both ports, and both stay "
            f"open: the next `up` closes {former}."
        )
    if access.port != wanted:
        return (
            f"SSH port {wanted} is open on the node but does not answer from here: {access.port} stays "
            f"open. If a run was killed before, run `pulumi up --refresh`: it reads the cloud's firewall "
            f"again. Otherwise find out what drops the packets on the way, or set mesh.ssh.port back to its "
            f"former value."
        )
    return f"SSH port {former} is closed: {wanted} has replaced it."


def _wireguard(node: NodePlan, access: Access) -> str | None:
    had, wanted = access.committed, node.overlay.port
    if had is None or had.doors is None or had.doors.ports == (wanted,):
        return None
    former = ", ".join(str(port) for port in had.doors.ports if port != wanted)
    if wanted not in had.doors.ports:
        return (
            f"WireGuard moves from UDP port {former} to {wanted}. Tunnels stay up, and packets to the old "
            f"port arrive at the new port; packets of one moment may be lost. The next `up` makes the "
            f"peers use {wanted}, and the `up` after that closes {former}."
        )
    if access.moving.ports:
        return f"peers now use WireGuard's UDP port {wanted}; the next `up` closes {former}."
    return f"WireGuard's UDP port {former} is closed: all peers use {wanted}."


def new_addresses(renumbering: Renumbering, clients: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each step of new addresses inside the mesh, with all whom it concerns."""
    held, leads = renumbering.held, renumbering.leads
    for words, names in (
        (_HELD, held.keys() & leads.keys() - set(clients)),
        (_HELD_OF_CLIENTS, held.keys() & leads.keys() & set(clients)),
        (_LEADS, held.keys() - leads.keys()),
        (_NO_IPV6, leads.keys() - held.keys()),
    ):
        if names:
            yield f"{', '.join(sorted(names))}: {words}"
    for name in sorted(renumbering.ends.keys() & set(clients)):
        ends = " and ".join(map(str, renumbering.ends[name]))
        yield (
            f"{name}: nodes no longer let the device in with its former address {ends}. A device that still "
            f"has this address needs its configuration again (`mesh client {name}`)."
        )
