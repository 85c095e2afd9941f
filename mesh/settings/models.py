"""What a stack file may say, key by key."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from mesh.settings import fields
from mesh.settings.problems import refuse, show

__all__ = ["Defaults", "Model", "Node", "PublicPort", "Settings", "Ssh", "public_port"]

_DEFAULT_PORT: Final = 51820  # what wg-quick examples and most firewalls' documentation use


class Model(BaseModel):
    """Frozen; an unknown key is a mistake; keys are spelled as in the stack file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PublicPort(Model):
    """A port or a range of ports that the internet may reach, both ends included."""

    protocol: Literal["tcp", "udp"]
    first: int
    last: int

    @property
    def range_text(self) -> str:
        """`443` or `8000-8100`."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def __str__(self) -> str:
        return f"{self.protocol}/{self.range_text}"


def public_port(value: object) -> PublicPort:
    """`tcp/443`, `udp/53` or `tcp/8000-8100`."""
    if isinstance(value, PublicPort):
        return value
    given = fields.text(value, "a port such as tcp/443")
    match = re.fullmatch(r"(tcp|udp)/([0-9]{1,5})(?:-([0-9]{1,5}))?", given)
    if match is None:
        raise refuse(f"{show(given)} is not a port such as tcp/443, udp/53 or tcp/8000-8100")
    first, last = int(match[2]), int(match[3] or match[2])
    if not 1 <= first <= last <= 65535:
        raise refuse(f"{given} is out of range; ports go from 1 to 65535, the lower one first")
    return PublicPort(protocol="udp" if match[1] == "udp" else "tcp", first=first, last=last)


Location = Annotated[str, BeforeValidator(fields.word("fsn1"))]
ServerType = Annotated[str, BeforeValidator(fields.word("cx23"))]
Image = Annotated[str, BeforeValidator(fields.word("debian-12"))]
Port = Annotated[int, BeforeValidator(fields.integer), Field(ge=1, le=65535)]
Switch = Annotated[bool, Field(strict=True)]


class Ssh(Model):
    """Who may open SSH to the nodes: from where, and beside the mesh's own key with which keys."""

    from_: Annotated[
        tuple[Annotated[IPv4Network | IPv6Network, BeforeValidator(fields.source_network)], ...],
        BeforeValidator(fields.items),
        Field(alias="from", min_length=1),
    ] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
    authorized_keys: Annotated[
        tuple[Annotated[str, BeforeValidator(fields.authorized_key)], ...],
        BeforeValidator(fields.items),
        Field(alias="authorizedKeys"),
    ] = ()


class Defaults(Model):
    """What a node is made of when it does not say otherwise."""

    location: Location = "fsn1"
    type: ServerType = "cx23"
    image: Image = "debian-12"


class Node(Model):
    """One node. What `Defaults` has is already filled in."""

    address: Annotated[IPv4Address, BeforeValidator(fields.address)]
    location: Location
    type: ServerType
    image: Image
    public: Annotated[
        tuple[Annotated[PublicPort, BeforeValidator(public_port)], ...], BeforeValidator(fields.items)
    ] = ()
    forward: Switch = False


class Settings(Model):
    """A whole mesh, as its stack file describes it."""

    cidr: Annotated[IPv4Network, BeforeValidator(fields.mesh_network)]
    port: Port = _DEFAULT_PORT
    mtu: Annotated[int | Literal["auto"], PlainValidator(fields.mtu)] = "auto"
    ssh: Ssh = Ssh()
    defaults: Defaults = Defaults()
    nodes: dict[str, Node]
