"""What all kinds of resources have in common: a table of their rules, and their life."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from hcloud import APIException, Client

from lab.engine.provider import CheckFailure

__all__ = ["Kind", "Made", "changed", "numeric", "patiently", "settle"]

_TRIES = 5  # terraform-provider-hcloud, internal/util/control
T = TypeVar("T")


def _nothing() -> None:
    """Nothing remains to be done."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A resource that exists now: its id, and what remains until it is as asked."""

    id: str
    finish: Callable[[], None] = _nothing


class Kind(ABC):
    """One kind of resource. Its methods block, and raise the client's own exceptions."""

    token: ClassVar[str]
    """Pulumi's type."""
    noun: ClassVar[str]
    """What an error calls it."""
    collection: ClassVar[str | None] = None
    """The client's name for all of them, for those that are found by their own name."""
    required: ClassVar[tuple[str, ...]] = ()
    """Inputs that must be given."""
    known: ClassVar[frozenset[str]]
    """Every input there is."""
    replaces: ClassVar[frozenset[str]] = frozenset()
    """Inputs that cannot change in place (ForceNew in terraform-provider-hcloud)."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Values of inputs that are not given."""
    nested_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """The same, for the objects in an input that is a list."""
    computed: ClassVar[frozenset[str]] = frozenset()
    """Outputs that are known once it exists, unless they are inputs that are given."""
    kept: ClassVar[frozenset[str]] = frozenset()
    """Inputs that stay as they are when they are no longer given (Optional and Computed)."""
    sets: ClassVar[frozenset[str]] = frozenset()
    """Lists whose order means nothing."""
    write_only: ClassVar[frozenset[str]] = frozenset()
    """Inputs the cloud does not tell again."""
    gone_is_deleted: ClassVar[bool] = True
    """Whether the real provider is content to delete what is gone already, or fails, as of a server."""

    def problems(self, inputs: Mapping[str, Any]) -> Sequence[CheckFailure]:  # noqa: ARG002 - for those with rules
        """Say what is wrong with inputs beyond their names; values may be `UNKNOWN`."""
        return ()

    def unmanaged(self, inputs: Mapping[str, Any]) -> frozenset[str]:  # noqa: ARG002 - for those with such a switch
        """Return the inputs whose differences do not count."""
        return frozenset()

    def planned(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the outputs will say of the inputs."""
        return inputs

    @abstractmethod
    def create(self, client: Client, inputs: Mapping[str, Any]) -> Made:
        """Make it."""

    @abstractmethod
    def read(self, client: Client, identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return its properties; raises `APIException` with `not_found` when it is gone."""

    @abstractmethod
    def update(self, client: Client, identifier: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Change what differs between two sets of inputs."""

    @abstractmethod
    def delete(self, client: Client, identifier: str, inputs: Mapping[str, Any]) -> None:
        """Remove it."""


def changed(old: Mapping[str, Any], new: Mapping[str, Any], *names: str) -> bool:
    """Whether any of those values differ."""
    return any(old.get(name) != new.get(name) for name in names)


def settle(actions: Iterable[Any]) -> None:
    """Wait for the actions that there are; raises `ActionException` for one that fails."""
    for action in actions:
        if action is not None:
            action.wait_until_finished()


def patiently(codes: Sequence[str], work: Callable[[], T], *, tries: int = _TRIES) -> T:
    """Do what may be refused for a while with one of these codes; a second later, then two, then four..."""
    for attempt in range(tries - 1):
        try:
            return work()
        except APIException as error:
            if error.code not in codes:
                raise
        time.sleep(min(2**attempt, 8))
    return work()


def numeric(value: Any) -> Any:
    """Return an id that was given as text as the number it is."""
    if isinstance(value, list):
        return [numeric(item) for item in value]
    return int(value) if isinstance(value, str) and value.isdecimal() else value
