"""What requests may say, field by field; names and limits are the official document's."""

import re
from ipaddress import IPv4Address, IPv4Network, ip_network
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
)

from lab.cloud.errors import ApiError

__all__ = ["parse"]

# RFC 1123, as servers are host names
_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_LABEL_KEY: Final = re.compile(
    r"([a-z0-9A-Z]([a-z0-9A-Z._-]{0,251}[a-z0-9A-Z])?/)?[a-z0-9A-Z]([a-z0-9A-Z._-]{0,61}[a-z0-9A-Z])?"
)
_LABEL_VALUE: Final = re.compile(r"([a-z0-9A-Z]([a-z0-9A-Z._-]{0,61}[a-z0-9A-Z])?)?")
_RESERVED_PREFIX: Final = "hetzner.cloud/"
_USER_DATA_BYTES: Final = 32 << 10
_MOST_RULES: Final = 50
_PRIVATE: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))  # RFC 1918


def _labels(value: dict[str, str]) -> dict[str, str]:
    for key, text in value.items():
        if not _LABEL_KEY.fullmatch(key) or key.startswith(_RESERVED_PREFIX):
            raise ValueError(f"label key {key!r} is not valid")
        if not _LABEL_VALUE.fullmatch(text):
            raise ValueError(f"label value {text!r} is not valid")
    return value


def _host_name(value: str) -> str:
    if not _HOST_NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a valid host name")
    return value


def _text(value: str) -> str:
    """Refuse what is no text that can be stored and shown: control characters, halves of characters."""
    if any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in value):
        raise ValueError("contains characters that are not text")
    return value


def _network(value: str) -> str:
    return str(ip_network(value))


def _address(value: str) -> str:
    return str(IPv4Address(value))


def _range(value: str) -> str:
    return str(IPv4Network(value))


def _private(value: str) -> str:
    network = IPv4Network(value)
    if network.prefixlen > 24 or not any(network.subnet_of(private) for private in _PRIVATE):
        raise ValueError("is not a /24 or larger part of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")
    return str(network)


def _user_data(value: str) -> str:
    if len(value.encode(errors="surrogatepass")) > _USER_DATA_BYTES:
        raise ValueError("is longer than 32 KiB")
    value.encode()  # what is no text is refused here
    return value


Labels = Annotated[dict[StrictStr, StrictStr], AfterValidator(_labels)]
Name = Annotated[StrictStr, Field(min_length=1, max_length=128), AfterValidator(_text)]
HostName = Annotated[StrictStr, AfterValidator(_host_name)]
Number = Annotated[StrictInt, Field(ge=1, lt=1 << 63)]
NameOrNumber = StrictStr | Number
Address = Annotated[StrictStr, AfterValidator(_address)]
Range = Annotated[StrictStr, AfterValidator(_range)]
PrivateRange = Annotated[StrictStr, AfterValidator(_private)]
UserData = Annotated[StrictStr, AfterValidator(_user_data)]
M = TypeVar("M", bound=BaseModel)
Networks = Annotated[list[Annotated[StrictStr, AfterValidator(_network)]], Field(max_length=100)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Rename(_Request):
    """PUT on most resources."""

    name: Name | None = None
    labels: Labels | None = None


class RenameServer(_Request):
    """PUT /servers/{id}."""

    name: HostName | None = None
    labels: Labels | None = None


class UpdatePrimaryIp(Rename):
    """PUT /primary_ips/{id}."""

    auto_delete: StrictBool | None = None


class CreateSshKey(_Request):
    """POST /ssh_keys."""

    name: Name
    public_key: Annotated[StrictStr, AfterValidator(_text)]
    labels: Labels = Field(default_factory=dict)


class CreatePlacementGroup(_Request):
    """POST /placement_groups."""

    name: Name
    type: Literal["spread"]
    labels: Labels = Field(default_factory=dict)


class CreatePrimaryIp(_Request):
    """POST /primary_ips."""

    name: Name
    type: Literal["ipv4", "ipv6"]
    assignee_type: Literal["server", "unassigned"] = "server"
    assignee_id: Number | None = None
    location: NameOrNumber | None = None
    auto_delete: StrictBool = False
    labels: Labels = Field(default_factory=dict)


class FirewallRule(_Request):
    """One rule of a firewall."""

    direction: Literal["in", "out"]
    protocol: Literal["tcp", "udp", "icmp", "esp", "gre"]
    port: StrictStr | None = None
    source_ips: Networks = Field(default_factory=list)
    destination_ips: Networks = Field(default_factory=list)
    description: Annotated[StrictStr, Field(max_length=255), AfterValidator(_text)] | None = None


class Reference(_Request):
    """A resource by number."""

    id: Number


class LabelSelector(_Request):
    """Resources by their labels."""

    selector: Annotated[StrictStr, Field(max_length=1024)]


class FirewallResource(_Request):
    """What a firewall is applied to."""

    type: Literal["server", "label_selector"]
    server: Reference | None = None
    label_selector: LabelSelector | None = None


class CreateFirewall(_Request):
    """POST /firewalls."""

    name: Name
    labels: Labels = Field(default_factory=dict)
    rules: Annotated[list[FirewallRule], Field(max_length=_MOST_RULES)] = Field(default_factory=list)
    apply_to: list[FirewallResource] = Field(default_factory=list)


class SetRules(_Request):
    """POST /firewalls/{id}/actions/set_rules."""

    rules: Annotated[list[FirewallRule], Field(max_length=_MOST_RULES)]


class ApplyTo(_Request):
    """POST /firewalls/{id}/actions/apply_to_resources."""

    apply_to: Annotated[list[FirewallResource], Field(min_length=1)]


class RemoveFrom(_Request):
    """POST /firewalls/{id}/actions/remove_from_resources."""

    remove_from: Annotated[list[FirewallResource], Field(min_length=1)]


class PublicNet(_Request):
    """The public network of a new server."""

    enable_ipv4: StrictBool = True
    enable_ipv6: StrictBool = True
    ipv4: Number | None = None
    ipv6: Number | None = None


class ServerFirewall(_Request):
    """A firewall of a new server."""

    firewall: Number


class CreateServer(_Request):
    """POST /servers."""

    name: HostName
    server_type: NameOrNumber
    image: NameOrNumber
    location: NameOrNumber | None = None
    start_after_create: StrictBool = True
    placement_group: Number | None = None
    ssh_keys: list[NameOrNumber] = Field(default_factory=list)
    firewalls: list[ServerFirewall] = Field(default_factory=list)
    user_data: UserData = ""
    labels: Labels = Field(default_factory=dict)
    public_net: PublicNet = PublicNet()
    automount: StrictBool | None = None
    volumes: Annotated[list[Number], Field(max_length=0)] = Field(default_factory=list)
    networks: Annotated[list[Number], Field(max_length=3)] = Field(default_factory=list)


class ChangeType(_Request):
    """POST /servers/{id}/actions/change_type."""

    server_type: NameOrNumber
    upgrade_disk: StrictBool


class Rebuild(_Request):
    """POST /servers/{id}/actions/rebuild."""

    image: NameOrNumber
    user_data: UserData | None = None


class ChangeProtection(_Request):
    """POST .../actions/change_protection."""

    delete: StrictBool | None = None
    rebuild: StrictBool | None = None


class AddToPlacementGroup(_Request):
    """POST /servers/{id}/actions/add_to_placement_group."""

    placement_group: Number


class CreateSubnet(_Request):
    """POST /networks/{id}/actions/add_subnet, and a subnet of a new network."""

    type: Literal["cloud", "server", "vswitch"]
    network_zone: StrictStr
    ip_range: Range | None = None
    vswitch_id: Number | None = None


class NetworkRoute(_Request):
    """A route of a network: what is sent to one of its servers."""

    destination: Range
    gateway: Address


class CreateNetwork(_Request):
    """POST /networks."""

    name: Name
    ip_range: PrivateRange
    labels: Labels = Field(default_factory=dict)
    subnets: Annotated[list[CreateSubnet], Field(max_length=50)] = Field(default_factory=list)
    routes: Annotated[list[NetworkRoute], Field(max_length=100)] = Field(default_factory=list)
    expose_routes_to_vswitch: StrictBool = False


class UpdateNetwork(Rename):
    """PUT /networks/{id}."""

    expose_routes_to_vswitch: StrictBool | None = None


class DeleteSubnet(_Request):
    """POST /networks/{id}/actions/delete_subnet."""

    ip_range: Range


class ChangeRange(_Request):
    """POST /networks/{id}/actions/change_ip_range."""

    ip_range: PrivateRange


class Attach(_Request):
    """POST /servers/{id}/actions/attach_to_network."""

    network: Number
    ip: Address | None = None
    alias_ips: Annotated[list[Address], Field(max_length=5)] = Field(default_factory=list)
    ip_range: Range | None = None


class ChangeAliases(_Request):
    """POST /servers/{id}/actions/change_alias_ips."""

    network: Number
    alias_ips: Annotated[list[Address], Field(max_length=5)]


class Detach(_Request):
    """POST /servers/{id}/actions/detach_from_network."""

    network: Number


class Assign(_Request):
    """POST /primary_ips/{id}/actions/assign."""

    assignee_id: Number
    assignee_type: Literal["server"]


def parse(model: type[M], body: Any) -> M:
    """Read a request's body. Raises `ApiError` that names every field."""
    if not isinstance(body, dict):
        raise ApiError("invalid_input", "the request's body is not an object", {"fields": []})
    try:
        return model.model_validate(body)
    except ValidationError as error:
        fields: dict[str, list[str]] = {}
        for problem in error.errors(include_url=False, include_context=False):
            name = ".".join(str(part) for part in problem["loc"])
            fields.setdefault(name, []).append(problem["msg"])
        listed = ", ".join(f"'{name}'" for name in fields)
        told = "; ".join(f"{name}: {messages[0]}" for name, messages in fields.items())
        raise ApiError(
            "invalid_input",
            f"invalid input in field {listed}: {told}",
            {"fields": [{"name": name, "messages": messages} for name, messages in fields.items()]},
        ) from None
