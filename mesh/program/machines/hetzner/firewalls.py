"""Pure: the firewalls of the cloud, one for each distinct set of public ports, and what each lets in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mesh.names import cloud_firewall
from mesh.plan import NodePlan
from mesh.program.gates import Gate
from mesh.program.machines.hetzner.records import FIREWALL
from mesh.program.previous import Previous
from mesh.settings import PortRange, merged

__all__ = ["Firewall", "firewall_name", "firewall_of", "plan_firewalls"]


@dataclass(frozen=True, kw_only=True)
class Firewall:
    """One firewall: the public ports it is named after, SSH's TCP ports and WireGuard's UDP ports.

    `next_ports` are those of WireGuard's second interface, while keys are replaced.
    """

    public: tuple[PortRange, ...]
    ssh_ports: tuple[int, ...]
    ports: tuple[int, ...]
    next_ports: tuple[int, ...] = ()

    @property
    def wireguard(self) -> tuple[str, ...]:
        """WireGuard's ports as rules have them: neighbours are one range where there is a second port."""
        if not self.next_ports:
            return tuple(str(port) for port in self.ports)
        every = (PortRange(protocol="udp", first=port, last=port) for port in {*self.ports, *self.next_ports})
        return tuple(each.range_text for each in merged(every))


def firewall_name(ports: tuple[PortRange, ...]) -> str:
    """Name a firewall after what it lets in, so that it stays the same whoever else comes or goes."""
    return cloud_firewall([str(port) for port in ports])


def firewall_of(node: NodePlan) -> str:
    """Return the name of the firewall that a node's server is behind."""
    return firewall_name(node.access.public)


def plan_firewalls(gates: Mapping[str, Gate], previous: Previous) -> dict[str, Firewall]:
    """Return the firewalls by name: those that are wanted, and those that a server may still be in.

    The state knows a server's firewall by the files its node has committed: those come after the server has
    changed over.
    """
    found: dict[str, Firewall] = {}
    for gate in gates.values():
        for public in _needed(gate, previous):
            name = firewall_name(public)
            known = found.get(name, Firewall(public=public, ssh_ports=(), ports=()))
            found[name] = Firewall(
                public=known.public,
                ssh_ports=tuple(sorted({*known.ssh_ports, *gate.ssh_ports})),
                ports=tuple(sorted({*known.ports, *gate.ports})),
                next_ports=tuple(sorted({*known.next_ports, *gate.next_ports})),
            )
    return dict(sorted(found.items()))


def _needed(gate: Gate, previous: Previous) -> Iterator[tuple[PortRange, ...]]:
    yield gate.public
    if gate.former is not None:
        name = firewall_name(gate.former)
        if name != firewall_name(gate.public) and previous.has(FIREWALL, f"firewall-{name}"):
            yield gate.former
