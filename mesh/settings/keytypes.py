"""Types of keys that several parts of a stack file have: how a value is read, and its name in the guide."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from mesh.settings import fields, interfaces, lists, names
from mesh.settings.routes import member

__all__ = [
    "Days",
    "Generation",
    "Interfaces",
    "KeySource",
    "Member",
    "Members",
    "Metadata",
    "Name",
    "Names",
    "Port",
    "Switch",
    "UnderlayMtu",
]

Port = Annotated[int, BeforeValidator(fields.port_number), Field(title="number from 1 to 65535")]
Generation = Annotated[
    int, BeforeValidator(fields.generation), Field(title="number from 1 to 999999999", examples=["2"])
]
Days = Annotated[int | None, PlainValidator(fields.days), Field(title="days, from `1d` to `3650d`")]
UnderlayMtu = Annotated[
    int | None,
    PlainValidator(fields.underlay_mtu),
    Field(alias="underlayMtu", title="number from 1280 to 9000", examples=["1400"]),
]
Switch = Annotated[bool, Field(strict=True, title="`true` or `false`")]
Interfaces = Annotated[
    tuple[Annotated[str, BeforeValidator(interfaces.interface)], ...],
    BeforeValidator(lists.list_of(interfaces.interface)),
    Field(title="list of interfaces"),
]
Metadata = Annotated[
    Literal["root", "containers"],
    BeforeValidator(fields.one_of("root", "containers")),
    Field(title="`root` or `containers`"),
]
KeySource = Annotated[
    Literal["state", "node"],
    BeforeValidator(fields.one_of("state", "node")),
    Field(alias="keySource", title="`state` or `node`"),
]
Names = Annotated[
    tuple[Annotated[str, BeforeValidator(names.host_name)], ...],
    BeforeValidator(lists.list_of(names.host_name)),
    Field(title="list of names"),
]
Name = Annotated[str, BeforeValidator(names.host_name), Field(title="name")]
Members = Annotated[
    tuple[Annotated[str, BeforeValidator(member)], ...],
    BeforeValidator(lists.list_of(member)),
    Field(title="list of names and networks"),
]
Member = Annotated[str, BeforeValidator(member), Field(title="name or network")]
