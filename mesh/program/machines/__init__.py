"""Where nodes run: a protocol that hides who makes a machine, and one room for each provider."""

from mesh.program.machines.base import (
    NO_ANSWER,
    NO_ROOT,
    Ahead,
    Contact,
    ExistingMachine,
    Family,
    FirstKey,
    Machine,
    Machines,
    Provider,
    Site,
    private_address,
    protection,
    public_address,
)
from mesh.program.machines.registry import KINDS, PROVIDERS, kinds_of

__all__ = [
    "KINDS",
    "NO_ANSWER",
    "NO_ROOT",
    "PROVIDERS",
    "Ahead",
    "Contact",
    "ExistingMachine",
    "Family",
    "FirstKey",
    "Machine",
    "Machines",
    "Provider",
    "Site",
    "kinds_of",
    "private_address",
    "protection",
    "public_address",
]
