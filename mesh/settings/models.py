"""What a stack file may say, key by key."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, SerializeAsAny
from pydantic_core import PydanticCustomError

from mesh.settings import addresses, fields, interfaces, names
from mesh.settings.problems import refuse, show
from mesh.settings.values import text

__all__ = [
    "DEFAULT_PROVIDER",
    "EVERY_NODE",
    "Defaults",
    "Grant",
    "Model",
    "Node",
    "PolicyRule",
    "PolicyTest",
    "PortRange",
    "Rollout",
    "Settings",
    "Ssh",
    "allowed",
    "port_range",
]

EVERY_NODE: Final = "all"
"""In `from` and `to` of a policy: every node of the mesh."""

DEFAULT_PROVIDER: Final = "hetzner"
"""Of a node that names none."""

_DEFAULT_PORT: Final = 51820  # what wg-quick examples and most firewalls' documentation use


class Model(BaseModel):
    """Frozen; an unknown key is a mistake; keys are spelled as in the stack file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PortRange(Model):
    """A port or a range of ports, both ends included."""

    protocol: Literal["tcp", "udp"]
    first: int
    last: int

    @property
    def range_text(self) -> str:
        """`443` or `8000-8100`."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def __str__(self) -> str:
        return f"{self.protocol}/{self.range_text}"

    def __lt__(self, other: "PortRange") -> bool:
        return (self.protocol, self.first, self.last) < (other.protocol, other.first, other.last)

    def overlaps(self, other: "PortRange") -> bool:
        """Whether both have a port in common."""
        return self.protocol == other.protocol and self.first <= other.last and other.first <= self.last


Grant = PortRange | Literal["icmp", "all"]
"""What a rule of the policy lets through: ports, ICMP of every kind, or everything."""


def port_range(value: object) -> PortRange:
    """`tcp/443`, `udp/53` or `tcp/8000-8100`."""
    if isinstance(value, PortRange):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
        raise refuse(f"{show(int(value))} has no protocol; write tcp/{int(value)} or udp/{int(value)}")
    given = text(value, "a port such as tcp/443")
    match = re.fullmatch(r"(tcp|udp)/([0-9]{1,5})(?:-([0-9]{1,5}))?", given)
    if match is None:
        bare = re.fullmatch(r"[0-9]{1,5}(-[0-9]{1,5})?", given)
        helps = f"; write tcp/{given} or udp/{given}" if bare else ""
        raise refuse(f"{show(given)} is not a port such as tcp/443, udp/53 or tcp/8000-8100{helps}")
    first, last = int(match[2]), int(match[3] or match[2])
    if not 1 <= first <= last <= 65535:
        raise refuse(f"{given} is out of range; ports go from 1 to 65535, the lower one first")
    return PortRange(protocol="udp" if match[1] == "udp" else "tcp", first=first, last=last)


def single_port(value: object) -> PortRange:
    """`tcp/443`: one port."""
    port = port_range(value)
    if port.first != port.last:
        raise refuse(f"{port} is a range; test one port, such as {port.protocol}/{port.first}")
    return port


def allowed(value: object) -> Grant:
    """What a rule of the policy lets through: ports, `icmp` or `all`."""
    if value == "icmp":
        return "icmp"
    if value == "all":
        return "all"
    given = value if isinstance(value, PortRange) else text(value, "a port such as tcp/5432, icmp or all")
    try:
        return port_range(given)
    except PydanticCustomError:
        if isinstance(given, str) and re.match(r"(tcp|udp)/", given):
            raise
        raise refuse(
            f"{show(given)} is neither a port such as tcp/5432 or udp/53, nor icmp, nor all"
        ) from None


Port = Annotated[int, BeforeValidator(fields.port_number)]
Switch = Annotated[bool, Field(strict=True)]
Interfaces = Annotated[
    tuple[Annotated[str, BeforeValidator(interfaces.interface)], ...], BeforeValidator(fields.items)
]
Metadata = Annotated[Literal["root", "containers"], BeforeValidator(fields.one_of("root", "containers"))]
Names = Annotated[tuple[Annotated[str, BeforeValidator(names.host_name)], ...], BeforeValidator(fields.items)]
Name = Annotated[str, BeforeValidator(names.host_name)]


class Ssh(Model):
    """Who may open SSH to the nodes: where sshd listens, from where, and with which further keys."""

    port: Port = 22
    from_: Annotated[
        tuple[Annotated[IPv4Network | IPv6Network, BeforeValidator(addresses.source_network)], ...],
        BeforeValidator(fields.items),
        Field(alias="from", min_length=1),
    ] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
    authorized_keys: Annotated[
        tuple[Annotated[str, BeforeValidator(fields.authorized_key)], ...],
        BeforeValidator(fields.items),
        Field(alias="authorizedKeys"),
    ] = ()


class Defaults(Model):
    """What a node is when it does not say otherwise; beside these, the keys of every provider."""

    trusted_interfaces: Annotated[Interfaces, Field(alias="trustedInterfaces")] = ()
    metadata: Metadata = "root"
    provider: str = DEFAULT_PROVIDER


class Node(Model):
    """One node; beside these, the keys of its provider. What defaults have is already filled in."""

    machine_model: ClassVar[type[Model]] = Model
    address: Annotated[IPv4Address, BeforeValidator(addresses.address)]
    enabled: Switch = True
    groups: Names = ()
    public: Annotated[
        tuple[Annotated[PortRange, BeforeValidator(port_range)], ...], BeforeValidator(fields.items)
    ] = ()
    forward: Switch = False
    trusted_interfaces: Annotated[Interfaces, Field(alias="trustedInterfaces")] = ()
    metadata: Metadata = "root"
    provider: str = DEFAULT_PROVIDER

    @property
    def machine(self) -> Model:
        """What its machine is made of: the keys of its provider, in the provider's own model."""
        model = self.machine_model
        return model.model_construct(**{name: getattr(self, name) for name in model.model_fields})


class PolicyRule(Model):
    """Who may reach whom on what; names are groups, nodes, or `all`."""

    from_: Annotated[Names, Field(alias="from", min_length=1)]
    to: Annotated[Names, Field(min_length=1)]
    allow: Annotated[
        tuple[Annotated[Grant, BeforeValidator(allowed)], ...],
        BeforeValidator(fields.items),
        Field(min_length=1),
    ]


class PolicyTest(Model):
    """What the policy must come to for one port, between every node of `from_` and every node of `to`."""

    from_: Annotated[Name, Field(alias="from")]
    to: Name
    port: Annotated[PortRange, BeforeValidator(single_port)]
    expect: Annotated[Literal["allow", "deny"], BeforeValidator(fields.one_of("allow", "deny"))]


class Rollout(Model):
    """In which order changes reach the nodes: the canary first, the others once it has committed."""

    canary: Name | None = None


class Settings(Model):
    """A whole mesh, as its stack file describes it."""

    cidr: Annotated[IPv4Network, BeforeValidator(addresses.mesh_network)]
    port: Port = _DEFAULT_PORT
    mtu: Annotated[int | Literal["auto"], PlainValidator(fields.mtu)] = "auto"
    ssh: Ssh = Ssh()
    defaults: SerializeAsAny[Defaults] = Defaults()
    nodes: dict[str, SerializeAsAny[Node]]
    # an empty value would be read as "no policy" and open everything: it has to be left out or be a list
    policy: Annotated[tuple[PolicyRule, ...] | None, BeforeValidator(fields.items)] = None
    policy_tests: Annotated[
        tuple[PolicyTest, ...], BeforeValidator(fields.items), Field(alias="policyTests")
    ] = ()
    rollout: Rollout = Rollout()
