"""Where nodes run: a protocol that hides who makes a machine, and one room for each provider."""

from mesh.program.machines.base import (
    Ahead,
    Family,
    FirstKey,
    Machine,
    Machines,
    Provider,
    Site,
    public_address,
)
from mesh.program.machines.registry import KINDS, PROVIDERS, kinds_of

__all__ = [
    "KINDS",
    "PROVIDERS",
    "Ahead",
    "Family",
    "FirstKey",
    "Machine",
    "Machines",
    "Provider",
    "Site",
    "kinds_of",
    "public_address",
]
