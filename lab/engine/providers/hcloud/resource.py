"""What all kinds of resources have in common: a table of their rules, and their life."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from hcloud import Client

__all__ = ["Kind"]


class Kind(ABC):
    """One kind of resource. Its methods block, and raise the client's own exceptions."""

    token: ClassVar[str]
    """Pulumi's type."""
    noun: ClassVar[str]
    """What an error calls it."""
    required: ClassVar[tuple[str, ...]] = ()
    """Inputs that must be given."""
    known: ClassVar[frozenset[str]]
    """Every input there is."""
    replaces: ClassVar[frozenset[str]] = frozenset()
    """Inputs that cannot change in place (ForceNew in terraform-provider-hcloud)."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Values of inputs that are not given."""
    write_only: ClassVar[frozenset[str]] = frozenset()
    """Inputs the cloud does not tell again."""

    @abstractmethod
    def create(self, client: Client, inputs: Mapping[str, Any]) -> str:
        """Make it; returns its id."""

    @abstractmethod
    def read(self, client: Client, identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return its properties; raises `APIException` with `not_found` when it is gone."""

    @abstractmethod
    def update(self, client: Client, identifier: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Change what differs between two sets of inputs."""

    @abstractmethod
    def delete(self, client: Client, identifier: str) -> None:
        """Remove it."""


def changed(old: Mapping[str, Any], new: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the new values of those names that differ."""
    return {name: new.get(name) for name in names if old.get(name) != new.get(name)}
