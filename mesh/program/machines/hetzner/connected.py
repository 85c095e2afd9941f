"""Pure: what Hetzner cannot do with a server's addresses and networks, told before anything is changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

from mesh.plan import NetworkPlan, NodePlan
from mesh.program.machines.base import Family
from mesh.program.machines.hetzner.model import wanted
from mesh.settings import Problem

__all__ = ["CloudNetwork", "existing_networks", "network_refusals", "refused_families", "refused_networks"]

_KEYS: Final[Mapping[Family, tuple[str, str]]] = {
    "ipv4": ("publicIpv4", "IPv4"),
    "ipv6": ("publicIpv6", "IPv6"),
}
# Locations and their zones (API document, GET /locations); of another location the cloud itself decides.
_ZONES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("fsn1", "nbg1", "hel1"), "eu-central"),
    "ash": "us-east",
    "hil": "us-west",
    "sin": "ap-southeast",
}
# What the IP range of a network may lie in (API document, POST /networks).
_PRIVATE: Final = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


@dataclass(frozen=True, kw_only=True)
class CloudNetwork:
    """A network that the cloud project has: its range and its subnets."""

    ip_range: str
    subnets: tuple[str, ...]


def refused_families(node: NodePlan, has: Sequence[Family]) -> Iterator[Problem]:
    """Yield the families that a server cannot get: `has` are those that it was made with.

    A server's system sets up the addresses that its metadata names at the first boot (cloud-init,
    DataSourceHetzner: network configuration is for a new instance only).
    """
    for family in wanted(node).families:
        if family not in has:
            key, called = _KEYS[family]
            message = (
                f"{node.name} was made without a public {called} address, and its system sets up addresses "
                f"at its first boot only. Take this change back; or take the node out, run up, and add it "
                f"again (this erases its disk); or add another node with {key}: true"
            )
            place = ("nodes", node.name, key)
            yield Problem(path=f"mesh.nodes.{node.name}.{key}", message=message, place=place)


def refused_networks(nodes: Mapping[str, NodePlan]) -> Iterator[Problem]:
    """Yield networks that the cloud would not make, and servers in another zone than their network."""
    for name, plan in sorted(_networks(nodes).items()):
        if not any(plan.cidr.subnet_of(private) for private in _PRIVATE):
            allowed = ", ".join(str(private) for private in _PRIVATE)
            message = f"{plan.cidr} cannot be a network at Hetzner; take one inside {allowed}"
            yield _of_cidr(name, message)
    for node in nodes.values():
        zone = _ZONES.get(wanted(node).location)
        if node.network is not None and zone not in {None, node.network.zone}:
            message = (
                f"{node.network.name} is in the network zone {node.network.zone}, and {node.name} in "
                f"{wanted(node).location}, which is in {zone}; take the node out of the network, or choose a "
                f"location of {node.network.zone}"
            )
            place = ("nodes", node.name, "network")
            yield Problem(path=f"mesh.nodes.{node.name}.network", message=message, place=place)


def network_refusals(
    nodes: Mapping[str, NodePlan], there: Mapping[str, CloudNetwork | None]
) -> Iterator[Problem]:
    """Yield the existing networks that are not as the stack file says; `there` is what the cloud has."""
    for name, plan in sorted(_networks(nodes).items()):
        if name not in there:
            continue
        found = there[name]
        if found is None:
            message = (
                f"the cloud project has no network {name}; correct the name, or leave `existing` out to have "
                f"the network made"
            )
            yield Problem(path=f"mesh.networks.{name}", message=message, place=("networks", name))
        elif str(plan.cidr) not in (found.ip_range, *found.subnets):
            choice = ", ".join(dict.fromkeys((*found.subnets, found.ip_range)))
            message = f"the network {name} has no range {plan.cidr}; write one of {choice}"
            yield _of_cidr(name, message)


def _of_cidr(name: str, message: str) -> Problem:
    return Problem(path=f"mesh.networks.{name}.cidr", message=message, place=("networks", name, "cidr"))


def existing_networks(nodes: Mapping[str, NodePlan]) -> list[str]:
    """Return the names of the networks that are used and not made."""
    return [name for name, plan in sorted(_networks(nodes).items()) if plan.existing]


def _networks(nodes: Mapping[str, NodePlan]) -> dict[str, NetworkPlan]:
    return {node.network.name: node.network for node in nodes.values() if node.network is not None}
