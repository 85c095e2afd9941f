"""How the cloud's API is asked: what its provider is configured with."""

import os
from dataclasses import dataclass
from typing import Final

import pulumi

__all__ = ["DEFAULT_ENDPOINT", "MESH_LABEL", "NODE_LABEL", "STACK_LABEL", "CloudAccess"]

DEFAULT_ENDPOINT: Final = "https://api.hetzner.cloud/v1"
"""Where the provider asks when it is not told otherwise."""

STACK_LABEL: Final = "wireguard-mesh/stack"
"""The label of every resource of a stack."""
MESH_LABEL: Final = "wireguard-mesh/mesh"
"""The label of every resource of a mesh, except of the one called `mesh`."""
NODE_LABEL: Final = "wireguard-mesh/node"
"""The label of what belongs to one node."""


@dataclass(frozen=True, kw_only=True)
class CloudAccess:
    """How to ask the cloud's API: what the hcloud provider is configured with."""

    token: str | None
    endpoint: str | None

    @staticmethod
    def configured() -> "CloudAccess":
        """Read `hcloud:token` and `hcloud:endpoint`, or else the provider's environment variables."""
        config = pulumi.Config("hcloud")
        return CloudAccess(
            token=config.get("token") or os.environ.get("HCLOUD_TOKEN"),
            endpoint=config.get("endpoint") or os.environ.get("HCLOUD_ENDPOINT"),
        )
