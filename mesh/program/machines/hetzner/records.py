"""What the state has of a node's server and address, by the provider's names.

Those are `serverType`, `location`, `image`, `primaryDiskSize`, `placementGroupId` and `ipAddress`.
"""

from collections.abc import Mapping
from typing import Any, Final

from mesh.program.machines.hetzner.wishes import Present
from mesh.program.previous import Previous

__all__ = [
    "ADDRESS",
    "FIREWALL",
    "PLACEMENT_GROUP",
    "SERVER",
    "SSH_KEY",
    "address_record",
    "is_protected",
    "present",
    "server_record",
]

SERVER: Final = "hcloud:index/server:Server"
ADDRESS: Final = "hcloud:index/primaryIp:PrimaryIp"
SSH_KEY: Final = "hcloud:index/sshKey:SshKey"
FIREWALL: Final = "hcloud:index/firewall:Firewall"
PLACEMENT_GROUP: Final = "hcloud:index/placementGroup:PlacementGroup"


def server_record(previous: Previous, node: str) -> Mapping[str, Any]:
    """Return what the state has of a server, without its user data, a secret; empty where there is none."""
    found = previous.part(SERVER, node, "server")
    return {name: value for name, value in found.items() if name != "userData"}


def address_record(previous: Previous, node: str) -> Mapping[str, Any]:
    """Return what the state has of an address; empty where there is none."""
    return previous.part(ADDRESS, node, "ip")


def is_protected(previous: Previous, node: str) -> bool:
    """Whether the cloud protects a node's server or address, as far as the state knows."""
    return any(
        found.get("deleteProtection") is True
        for found in (server_record(previous, node), address_record(previous, node))
    )


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
