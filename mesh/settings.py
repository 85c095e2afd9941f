"""The stack file as typed, validated models. Every mistake is reported at once, before anything happens."""

import base64
import binascii
import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

__all__ = [
    "Defaults",
    "Node",
    "Problem",
    "PublicPort",
    "Settings",
    "SettingsError",
    "Ssh",
    "parse_settings",
]

_DEFAULT_PORT: Final = 51820  # what wg-quick examples and most firewalls' documentation use
_MTU_LOWEST: Final = 1280  # IPv6's minimum link MTU, RFC 8200 section 5
_MTU_HIGHEST: Final = 8920  # a 9000 byte jumbo frame less WireGuard's 80
_PREFIX_LONGEST: Final = 29  # a network with room for at least two nodes and to grow
# RFC 1918 and, for shared address space, RFC 6598: what never belongs to anyone else's server.
_PRIVATE: Final = tuple(
    IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
# RFC 1123 host name in lower case; `<stack>-<name>` must stay a host name of 63 characters.
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?")
_SHOWN: Final = 60  # characters of a refused value that an error shows


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake: its path in the stack file, and what was found and what would be right."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class SettingsError(Exception):
    """The stack file is refused; `problems` has every reason, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        super().__init__(f"the stack file has {count}:\n" + "\n".join(f"  {problem}" for problem in problems))


def _refuse(message: str) -> PydanticCustomError:
    """An error whose message says all; the offending value is part of it where it may be shown."""
    return PydanticCustomError("mesh", "{text}", {"text": message})


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise _refuse(f"{_show(value)} is not text; give {what}, in quotes if need be")
    return value


def _integer(value: object) -> object:
    """Pulumi passes numbers as floats; a boolean is no number although Python thinks so."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise _refuse(f"{_show(value)} is not a whole number")
    return int(value)


def _mtu(value: object) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise _refuse(f"{_show(value)} is neither auto nor a whole number")
    if not _MTU_LOWEST <= value <= _MTU_HIGHEST:
        raise _refuse(f"{_show(value)} is out of range; {_MTU_LOWEST} to {_MTU_HIGHEST}, or auto")
    return int(value)


def _address(value: object) -> IPv4Address:
    text = _text(value, "an IPv4 address such as 10.10.0.1")
    try:
        return IPv4Address(text)
    except ValueError:
        raise _refuse(f"{_show(text)} is not an IPv4 address such as 10.10.0.1") from None


def _mesh_network(value: object) -> IPv4Network:
    text = _text(value, "an IPv4 network such as 10.10.0.0/24")
    try:
        network = IPv4Network(text, strict=False)
    except ValueError:
        raise _refuse(f"{_show(text)} is not an IPv4 network such as 10.10.0.0/24") from None
    if "/" not in text:
        raise _refuse(f"{text} has no prefix length; write for example {text}/24")
    if str(network) != text:
        raise _refuse(f"{text} names a host, not a network; write {network}")
    if not any(network.subnet_of(private) for private in _PRIVATE):
        allowed = ", ".join(str(private) for private in _PRIVATE)
        raise _refuse(f"{text} is public address space; take a network inside {allowed}")
    if network.prefixlen > _PREFIX_LONGEST:
        raise _refuse(f"{text} has no room for a mesh; /{_PREFIX_LONGEST} is the smallest network")
    return network


def _source_network(value: object) -> IPv4Network | IPv6Network:
    text = _text(value, "a network such as 203.0.113.0/24 or 2001:db8::/32")
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise _refuse(f"{_show(text)} is not a network such as 203.0.113.0/24 or 2001:db8::/32") from None
    if "/" in text and str(network) != text.lower():
        raise _refuse(f"{text} names a host, not a network; write {network}")
    return network


def _authorized_key(value: object) -> str:
    text = _text(value, "a line of authorized_keys such as `ssh-ed25519 AAAA... me`").strip()
    if "PRIVATE KEY" in text:
        raise _refuse(
            "this is a private key (not shown here): never put one into a stack file; make a new pair"
        )
    words = text.split()
    if (
        "\n" in text
        or len(words) < 2
        or not re.fullmatch(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+", words[0])
    ):
        raise _refuse(f"{_show(text)} is not a public key; give one line such as `ssh-ed25519 AAAA... me`")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except binascii.Error:
        blob = b""
    # RFC 4253 section 6.6: the blob starts with the length-prefixed name of its type
    name = words[0].encode()
    if not blob.startswith(len(name).to_bytes(4, "big") + name):
        raise _refuse(f"{_show(text)}: the part after {words[0]} is cut or is no key of this type")
    return text


def _word(example: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        text = _text(value, f"a name such as {example}")
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", text):
            raise _refuse(f"{_show(text)} is not a name such as {example}")
        return text

    return check


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class PublicPort(_Model):
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


def _public_port(value: object) -> object:
    if isinstance(value, PublicPort):
        return value
    text = _text(value, "a port such as tcp/443")
    match = re.fullmatch(r"(tcp|udp)/(\d{1,5})(?:-(\d{1,5}))?", text)
    if match is None:
        raise _refuse(f"{_show(text)} is not a port such as tcp/443, udp/53 or tcp/8000-8100")
    first, last = int(match[2]), int(match[3] or match[2])
    if not 1 <= first <= last <= 65535:
        raise _refuse(f"{text} is out of range; ports go from 1 to 65535, the lower one first")
    return PublicPort(protocol="udp" if match[1] == "udp" else "tcp", first=first, last=last)


def _name_list(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise _refuse(f"{_show(value)} is not a list; write [{value if isinstance(value, str) else '...'}]")
    return tuple(value)


Location = Annotated[str, BeforeValidator(_word("fsn1"))]
ServerType = Annotated[str, BeforeValidator(_word("cx23"))]
Image = Annotated[str, BeforeValidator(_word("debian-12"))]
PublicPorts = Annotated[
    tuple[Annotated[PublicPort, BeforeValidator(_public_port)], ...], BeforeValidator(_name_list)
]


class Ssh(_Model):
    """Who may open SSH to the nodes: from where, and beside the mesh's own key with which keys."""

    from_: Annotated[
        tuple[Annotated[IPv4Network | IPv6Network, BeforeValidator(_source_network)], ...],
        BeforeValidator(_name_list),
        Field(alias="from", min_length=1),
    ] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
    authorized_keys: Annotated[
        tuple[Annotated[str, BeforeValidator(_authorized_key)], ...],
        BeforeValidator(_name_list),
        Field(alias="authorizedKeys"),
    ] = ()


class Defaults(_Model):
    """What a node is made of when it does not say otherwise."""

    location: Location = "fsn1"
    type: ServerType = "cx23"
    image: Image = "debian-12"


class Node(_Model):
    """One node. `location`, `type` and `image` are already filled in from the defaults."""

    address: Annotated[IPv4Address, BeforeValidator(_address)]
    location: Location
    type: ServerType
    image: Image
    public: PublicPorts = ()
    forward: Annotated[bool, Field(strict=True)] = False


class Settings(_Model):
    """A whole mesh, as its stack file describes it."""

    cidr: Annotated[IPv4Network, BeforeValidator(_mesh_network)]
    port: Annotated[int, BeforeValidator(_integer), Field(ge=1, le=65535)] = _DEFAULT_PORT
    mtu: Annotated[int | Literal["auto"], PlainValidator(_mtu)] = "auto"
    ssh: Ssh = Ssh()
    defaults: Defaults = Defaults()
    nodes: dict[str, Node]


def parse_settings(raw: object, *, where: str = "mesh") -> Settings:
    """Check the value of `wireguard-mesh:mesh` and return it as settings.

    `where` is what the paths in messages start with. Raises `SettingsError` with every problem.
    """
    if not isinstance(raw, Mapping):
        problem = Problem(path=where, message=f"{_show(raw)} is not a mapping with cidr and nodes")
        raise SettingsError((problem,))
    problems: list[Problem] = []
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(_with_defaults(raw))
    except ValidationError as error:
        problems += [
            _problem(where, details) for details in error.errors(include_url=False, include_context=True)
        ]
    found = [*_names(raw.get("nodes")), *_addresses(raw)]
    if settings is not None:
        found += _ports(settings)
    problems += [Problem(path=f"{where}.{path}", message=message) for path, message in found]
    if problems or settings is None:
        raise SettingsError(tuple(dict.fromkeys(problems)))
    return settings


def _with_defaults(raw: Mapping[Any, Any]) -> dict[Any, Any]:
    """Give every node the defaults it does not override, wherever both have the right shape."""
    filled = dict(raw)
    defaults, nodes = raw.get("defaults", {}), raw.get("nodes")
    if isinstance(nodes, Mapping):
        known = {name: field.default for name, field in Defaults.model_fields.items()}
        if isinstance(defaults, Mapping):
            known |= {name: defaults[name] for name in known if isinstance(defaults.get(name), str)}
        filled["nodes"] = {
            name: {**known, **node} if isinstance(node, Mapping) else node for name, node in nodes.items()
        }
    return filled


def _names(nodes: object) -> Iterator[tuple[str, str]]:
    if not isinstance(nodes, Mapping):
        return
    if not nodes:
        yield "nodes", "is empty; a mesh has at least one node"
    for name in nodes:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield (
                f"nodes.{_show(name)}",
                "is not a host name: lower-case letters, digits and inner hyphens, at most 48",
            )


def _addresses(raw: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Compare the addresses that can be read at all, whatever else is wrong with the file."""
    nodes = raw.get("nodes")
    try:
        cidr = _mesh_network(raw.get("cidr"))
    except PydanticCustomError:
        return
    if not isinstance(nodes, Mapping):
        return
    room = cidr.num_addresses - 2
    if len(nodes) > room:
        yield "cidr", f"{cidr} has room for {room} nodes, and there are {len(nodes)}; widen it"
    owner: dict[IPv4Address, str] = {}
    for name, node in nodes.items():
        try:
            address = _address(node.get("address") if isinstance(node, Mapping) else None)
        except PydanticCustomError:
            continue
        refusal = _address_refusal(address, cidr, owner)
        if refusal is not None:
            yield f"nodes.{name}.address", refusal
        owner.setdefault(address, name)


def _address_refusal(address: IPv4Address, cidr: IPv4Network, owner: Mapping[IPv4Address, str]) -> str | None:
    if address not in cidr:
        return f"{address} is outside {cidr}"
    if address == cidr.network_address:
        return f"{address} is the network address of {cidr}; the first usable one is {cidr[1]}"
    if address == cidr.broadcast_address:
        return f"{address} is the broadcast address of {cidr}; the last usable one is {cidr[-2]}"
    if address in owner:
        return f"{address} is already the address of {owner[address]}; every node has its own"
    return None


def _ports(settings: Settings) -> Iterator[tuple[str, str]]:
    for name, node in settings.nodes.items():
        for index, port in enumerate(node.public):
            path = f"nodes.{name}.public[{index}]"
            if port.protocol == "udp" and port.first <= settings.port <= port.last:
                yield (
                    path,
                    f"{port} includes WireGuard's own port {settings.port}; it is open to peers anyway",
                )
            for other in node.public[:index]:
                if port.protocol == other.protocol and port.first <= other.last and other.first <= port.last:
                    yield path, f"{port} overlaps {other}; name each port once"


_MESSAGES: Final[Mapping[str, Callable[[ErrorDetails], str]]] = {
    "missing": lambda _: "is missing and required",
    "mesh": lambda details: str(details["ctx"]["text"]),
    "greater_than_equal": lambda details: f"{_show(details['input'])} is below {details['ctx']['ge']}",
    "less_than_equal": lambda details: f"{_show(details['input'])} is above {details['ctx']['le']}",
    "model_type": lambda details: f"{_show(details['input'])} is not a mapping of keys and values",
    "dict_type": lambda details: f"{_show(details['input'])} is not a mapping of node names",
    "bool_type": lambda details: f"{_show(details['input'])} is neither true nor false",
    "too_short": lambda _: "is empty; leave it out for the default, or list at least one entry",
}


def _problem(where: str, details: ErrorDetails) -> Problem:
    parts = list(details["loc"])
    if details["type"] == "extra_forbidden":
        return Problem(path=_path(where, parts), message=_unknown_key(parts))
    describe = _MESSAGES.get(details["type"])
    message = describe(details) if describe else f"{_show(details['input'])}: {details['msg']}"
    return Problem(path=_path(where, parts), message=message)


def _path(where: str, parts: list[int | str]) -> str:
    return where + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _unknown_key(parts: list[int | str]) -> str:
    sections: dict[str, type[_Model]] = {"nodes": Node, "ssh": Ssh, "defaults": Defaults}
    model = sections.get(str(parts[0]), Settings) if len(parts) > 1 else Settings
    known = [field.alias or name for name, field in model.model_fields.items()]
    near = difflib.get_close_matches(str(parts[-1]), known, n=1, cutoff=0.5)
    if near:
        return f"is not a known key; did you mean {near[0]}?"
    return f"is not a known key; known are {', '.join(known)}"


def _show(value: object) -> str:
    """A refused value as an error may show it: cut, on one line, never a private key."""
    text = value if isinstance(value, str) else repr(value)
    if "PRIVATE KEY" in text or re.fullmatch(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw480]=", text.strip()):
        return "a private key (not shown)"
    text = " ".join(text.split())
    return (
        repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
        if isinstance(value, str)
        else text[:_SHOWN]
    )
