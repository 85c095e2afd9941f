"""What the parts of a stack file must be to each other.

Every check reads the raw values and passes over those that cannot be read, which are reported
elsewhere: so one mistake hides no other.
"""

from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final

from mesh.settings.addresses import address, check_cidr_owner, mesh_network
from mesh.settings.interfaces import check_interfaces
from mesh.settings.names import check_names
from mesh.settings.ports import check_public_ports
from mesh.settings.raw import Finding, nodes, read
from mesh.settings.references import check_groups, check_policy, check_policy_tests, check_rollout

__all__ = ["CHECKS"]


def _addresses(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    cidr = read(mesh_network, raw.get("cidr"))
    everyone = nodes(raw)
    if cidr is not None and len(everyone) > cidr.num_addresses - 2:
        room = cidr.num_addresses - 2
        yield ("cidr",), f"{cidr} has room for {room} nodes, but there are {len(everyone)}; widen the network"
    owner: dict[IPv4Address, str] = {}
    for name, node in everyone.items():
        own = read(address, node.get("address") if isinstance(node, Mapping) else None)
        if own is None:
            continue
        refusal = None if cidr is None else _outside(own, cidr)
        if refusal is None and own in owner:
            refusal = f"{own} is already the address of {owner[own]}; every node has its own"
        if refusal is not None:
            yield ("nodes", name, "address"), refusal
        owner.setdefault(own, name)


def _outside(own: IPv4Address, cidr: IPv4Network) -> str | None:
    if own not in cidr:
        return f"{own} is outside {cidr}"
    if own == cidr.network_address:
        return f"{own} is the network address of {cidr}; the first usable address is {cidr[1]}"
    if own == cidr.broadcast_address:
        return f"{own} is the broadcast address of {cidr}; the last usable address is {cidr[-2]}"
    return None


CHECKS: Final[tuple[Callable[[Mapping[Any, Any]], Iterator[Finding]], ...]] = (
    check_names,
    _addresses,
    check_cidr_owner,
    check_interfaces,
    check_public_ports,
    check_groups,
    check_policy,
    check_policy_tests,
    check_rollout,
)
"""Each takes the raw value of the mesh and yields what is wrong with it."""
