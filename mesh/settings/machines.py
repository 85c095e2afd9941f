"""What a node's machine is made of: for each provider a model of its keys in the stack file."""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, ValidationError, create_model

from mesh.settings import fields
from mesh.settings.base import Model
from mesh.settings.meant import plain
from mesh.settings.node import DEFAULT_PROVIDER, Defaults, Node
from mesh.settings.problems import Problem, nearest, nearest_of, refuse, show
from mesh.settings.raw import Finding
from mesh.settings.values import text

__all__ = ["KNOWN", "HetznerMachine", "MachineKind", "MachineModels", "models_of", "read_provider"]


class HetznerMachine(Model):
    """A server at Hetzner, in the cloud's own words."""

    location: Annotated[str, BeforeValidator(fields.word("fsn1")), Field(title="name")] = "fsn1"
    """Where the server is made.

    Changed later: the server and its public address are deleted, and both are made anew in the new
    location. The keys stay the same, the disk is empty.

    Refused by the preview: a location that the cloud does not have.
    """

    type: Annotated[str, BeforeValidator(fields.word("cx23")), Field(title="name")] = "cx23"
    """The server type.

    Changed later: the server is powered off, gets the new type and the disk of this type, and is started
    again.

    Refused by the preview: a type that the cloud does not have or does not sell in the location. For an
    existing server also a type that is sold out, that has a smaller disk, or that has another
    architecture (x86, arm).
    """

    image: Annotated[str, BeforeValidator(fields.word("debian-12")), Field(title="name")] = "debian-12"
    """The image that a new server boots from: a name, or the number of a snapshot in quotes.

    Changed later: no server is rebuilt. Every preview says so, and names the command that rebuilds the
    server.

    Refused by the preview: an image that the cloud does not have, that is not made for the type's
    architecture, or that is larger than the type's disk.
    """

    public_ipv4: Annotated[bool, Field(strict=True, alias="publicIpv4", title="`true` or `false`")] = True
    """Whether the server has a public IPv4 address. A server without one costs less, and `up` must reach the
    server over IPv6 ([IPv6-only nodes](paths.md#a-node-without-public-ipv4)).

    Changed later: `false` powers the server off for a minute, and gives the IPv4 address back. `true` is
    refused for a server that was made without one.

    Refused: a node with neither `publicIpv4` nor `publicIpv6`, and a node with IPv6 alone when `ssh.from` has
    IPv4 networks only. Refused by the preview: `true` for a server that was made without a public IPv4
    address.
    """

    public_ipv6: Annotated[bool, Field(strict=True, alias="publicIpv6", title="`true` or `false`")] = False
    """Whether the server has a public IPv6 network (/64). The server's address is the first one, `::1`.

    Changed later: `false` powers the server off for a minute, and gives the IPv6 network back. `true` is
    refused for a server that was made without one: its system learns of the network at its first boot only.

    Refused by the preview: `true` for a server that was made without a public IPv6 network.
    """

    @property
    def families(self) -> tuple[Literal["ipv4", "ipv6"], ...]:
        """The families of the server's public addresses."""
        both: tuple[tuple[Literal["ipv4", "ipv6"], bool], ...] = (
            ("ipv4", self.public_ipv4), ("ipv6", self.public_ipv6),
        )  # fmt: skip
        return tuple(family for family, has in both if has)


Check = Callable[[Mapping[Any, Any], str | None, str], Iterator[Finding | Problem]]
"""Looks at the raw value of a mesh and at the names of stack and mesh; yields what cannot be done.

It sees the nodes at this provider alone. A finding has its path below the mesh; a problem has all of it.
"""


def _anything_goes(_raw: Mapping[Any, Any], _stack: str | None, _mesh: str) -> Iterator[Finding | Problem]:
    yield from ()


@dataclass(frozen=True, kw_only=True)
class MachineKind:
    """One provider, as far as the stack file goes: `model` has its keys of a node, each with a default.

    `check` says what does not fit into its limits. `defaults` has the keys that several nodes may have in
    common, None where all may.
    """

    model: type[Model]
    check: Check = _anything_goes
    defaults: type[Model] | None = None


KNOWN: Final[Mapping[str, MachineKind]] = MappingProxyType(
    {DEFAULT_PROVIDER: MachineKind(model=HetznerMachine)}
)
"""The providers by name, without their limits; `mesh.program.KINDS` has those, too."""


class MachineModels:
    """The models of nodes and of their defaults, where nodes may be of several kinds."""

    def __init__(self, kinds: Mapping[str, MachineKind]) -> None:
        self._default = DEFAULT_PROVIDER if DEFAULT_PROVIDER in kinds else next(iter(kinds))
        told = Defaults.model_fields["provider"]
        field: Any = Annotated[
            str,
            BeforeValidator(partial(read_provider, kinds, self._default)),
            Field(title=told.title),
        ]
        self._provider: Any = (field, self._default)
        self._kinds = kinds
        self._nodes = {name: self._node(name, kind) for name, kind in kinds.items()}
        bases: Any = (Defaults, *dict.fromkeys(kind.defaults or kind.model for kind in kinds.values()))
        made: Any = create_model("defaults", __base__=bases, provider=self._provider)
        self.defaults: type[Defaults] = made
        """What `defaults` may have: the keys of every kind."""

    def _node(self, name: str, kind: MachineKind) -> type[Node]:
        bases: Any = (Node, kind.model)
        made: type[Node] = create_model(f"{name}-node", __base__=bases, provider=self._provider)
        made.machine_model = kind.model
        return made

    def node(self, node: Mapping[Any, Any]) -> type[Node]:
        """Return the model for a node; of one whose provider is not known, that of the default."""
        return self._nodes[self._provider_of(node)]

    def used(self, filled: Mapping[Any, Any]) -> Iterator[tuple[MachineKind, Container[str]]]:
        """Yield the kinds that there are nodes of, with the names of the nodes."""
        nodes = filled.get("nodes")
        found: dict[str, set[str]] = {}
        for name, node in nodes.items() if isinstance(nodes, Mapping) else ():
            provider = self._provider_of(node if isinstance(node, Mapping) else {})
            found.setdefault(provider, set()).add(str(name))
        for provider, names in found.items():
            yield self._kinds[provider], names

    def filled(self, raw: Mapping[Any, Any]) -> dict[Any, Any]:
        """Give every node those defaults that its kind has, wherever both have the right shape.

        A default that is wrong is reported once, where it stands, and not again for every node.
        """
        filled = dict(raw)
        nodes = raw.get("nodes")
        if isinstance(nodes, Mapping):
            defaults = self._readable_defaults(raw.get("defaults"))
            filled["nodes"] = {
                name: self._node_filled(defaults, node) if isinstance(node, Mapping) else node
                for name, node in nodes.items()
            }
        return filled

    def _node_filled(self, defaults: Mapping[str, Any], node: Mapping[Any, Any]) -> dict[Any, Any]:
        whole = {**defaults, **node}
        keys = {field.alias or name for name, field in self.node(whole).model_fields.items()}
        return {**{key: value for key, value in defaults.items() if key in keys}, **node}

    def _readable_defaults(self, given: object) -> dict[str, Any]:
        """Return those that are given and right; what nobody gives is the matter of each kind."""
        values: dict[str, Any] = {}
        for name, field in self.defaults.model_fields.items():
            key = field.alias or name
            if not isinstance(given, Mapping) or key not in given:
                continue
            try:
                self.defaults.model_validate({key: given[key]})
            except ValidationError:
                continue
            values[key] = given[key]
        return values

    def _provider_of(self, node: Mapping[Any, Any]) -> str:
        """Return the provider that a raw node names, where it is known; otherwise that of the default."""
        given = node.get("provider")
        return given if isinstance(given, str) and given in self._kinds else self._default


def read_provider(kinds: Mapping[str, MachineKind], default: str, value: object) -> str:
    """Read the name of a provider: one of `kinds`."""
    given = text(value, f"a provider such as {default}", partial(read_provider, kinds, default))
    if given not in kinds:
        near = nearest_of(plain(given), kinds) or (default if len(kinds) == 1 else None)
        values = [] if near is None else [near]
        raise refuse(f"{show(given)} is not a known provider; {nearest(plain(given), kinds)}", *values)
    return given


def models_of(kinds: Mapping[str, MachineKind]) -> MachineModels:
    """Return the models for these providers; made once, since making them takes longer than a stack file."""
    return _made(tuple(kinds.items()))


@cache
def _made(kinds: tuple[tuple[str, MachineKind], ...]) -> MachineModels:
    return MachineModels(dict(kinds))
