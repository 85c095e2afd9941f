"""The providers that there are. Another one is one line here (docs/add-a-provider.md)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mesh.program.machines.base import Provider
from mesh.program.machines.hetzner import Hetzner
from mesh.program.machines.static import Static
from mesh.settings.machines import MachineKind

__all__ = ["KINDS", "PROVIDERS", "kinds_of"]

PROVIDERS: Final[Mapping[str, Provider]] = MappingProxyType(
    {
        "hetzner": Hetzner(),
        "static": Static(),
    }
)
"""By the name that `provider` has in the stack file."""


def kinds_of(providers: Mapping[str, Provider]) -> dict[str, MachineKind]:
    """Return what `parse_settings` must know of providers."""
    return {name: provider.kind for name, provider in providers.items()}


KINDS: Final = kinds_of(PROVIDERS)
"""What `parse_settings` must know of them all."""
