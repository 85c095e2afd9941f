"""Says which doors move in this run, and what the next one will do: the last words of a preview."""

from collections.abc import Callable, Iterator, Mapping

import pulumi

from mesh.plan import MeshPlan, NodePlan
from mesh.program.access import Access

__all__ = ["moves", "tell_moves"]

_Say = Callable[[NodePlan, Access], str | None]


def tell_moves(plan: MeshPlan, access: Mapping[str, Access], resource: pulumi.Resource) -> None:
    """Warn of each move, once."""
    for words in moves(plan, access):
        pulumi.log.warn(words, resource)


def moves(plan: MeshPlan, access: Mapping[str, Access]) -> Iterator[str]:
    """Yield a sentence for each move, with all nodes that it concerns."""
    for say in (_ssh, _wireguard, _ipv6):
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
            f"open. Find out what drops the packets on the way, or set mesh.ssh.port back to its former "
            f"value."
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


def _ipv6(node: NodePlan, access: Access) -> str | None:
    if node.name not in access.moving.unnamed:
        return None
    return (
        "new IPv6 address in the mesh. Names of nodes lead to IPv4 addresses until the nodes have committed: "
        "the next `up` adds the IPv6 addresses to the hosts files."
    )
