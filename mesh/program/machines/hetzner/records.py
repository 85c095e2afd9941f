"""What the state has of a node's server and address, by the provider's names.

Those are `serverType`, `location`, `image`, `primaryDiskSize`, `placementGroupId` and `ipAddress`.
"""

from collections.abc import Mapping
from typing import Any, Final

from mesh.program.machines.base import Family
from mesh.program.machines.hetzner.wishes import Present
from mesh.program.previous import Previous

__all__ = [
    "ADDRESS",
    "ADDRESS_PARTS",
    "FIREWALL",
    "NETWORK",
    "NETWORK_PART",
    "PLACEMENT_GROUP",
    "SERVER",
    "SSH_KEY",
    "address_record",
    "addresses",
    "families_of",
    "is_protected",
    "present",
    "server_record",
]

SERVER: Final = "hcloud:index/server:Server"
ADDRESS: Final = "hcloud:index/primaryIp:PrimaryIp"
SSH_KEY: Final = "hcloud:index/sshKey:SshKey"
FIREWALL: Final = "hcloud:index/firewall:Firewall"
PLACEMENT_GROUP: Final = "hcloud:index/placementGroup:PlacementGroup"
NETWORK: Final = "hcloud:index/network:Network"

ADDRESS_PARTS: Final[Mapping[Family, str]] = {"ipv4": "ip", "ipv6": "ip6"}
"""The part of a node that is its public address of a family."""
NETWORK_PART: Final = "network"
"""The part of a node that is its place in a private network."""


def server_record(previous: Previous, node: str) -> Mapping[str, Any]:
    """Return what the state has of a server, without its user data, a secret; empty where there is none."""
    found = previous.part(SERVER, node, "server")
    return {name: value for name, value in found.items() if name != "userData"}


def address_record(previous: Previous, node: str) -> Mapping[str, Any]:
    """Return what the state has of an address, IPv4 first; empty where there is none."""
    return next(iter(addresses(previous, node).values()), {})


def addresses(previous: Previous, node: str) -> dict[Family, Mapping[str, Any]]:
    """Return what the state has of a node's public addresses: those that there are."""
    found = {family: previous.part(ADDRESS, node, part) for family, part in ADDRESS_PARTS.items()}
    return {family: record for family, record in found.items() if record}


def families_of(server: Mapping[str, Any]) -> tuple[Family, ...]:
    """Return the families of the public addresses that a server has."""
    nets = server.get("publicNets") or [{"ipv4Enabled": True}]
    switches: tuple[tuple[Family, str], ...] = (("ipv4", "ipv4Enabled"), ("ipv6", "ipv6Enabled"))
    return tuple(family for family, key in switches if nets[0].get(key))


def is_protected(previous: Previous, node: str) -> bool:
    """Whether the cloud protects a node's server or an address, as far as the state knows."""
    records = (server_record(previous, node), *addresses(previous, node).values())
    return any(found.get("deleteProtection") is True for found in records)


def present(previous: Previous, node: str) -> Present | None:
    """Return what a server is now; None where there is none."""
    server = server_record(previous, node)
    if not server:
        return None
    return Present(
        location=server.get("location"),
        type=server.get("serverType"),
        image=None if server.get("image") is None else str(server["image"]),
        disk=int(server["primaryDiskSize"]) if server.get("primaryDiskSize") else None,
    )
