"""The settings as typed arguments of a component, for programs in other languages.

The SDK makes a schema of these classes: names in camelCase, a docstring for each. All values are plain, since
a mesh is planned before anything is made. A stack file may say a little more: `mtu: auto` is no `mtu` here.
"""

import types
from collections.abc import Mapping
from enum import Enum
from typing import Any, NotRequired, TypedDict, get_args, get_origin, get_type_hints, is_typeddict

import pulumi
from pulumi.errors import InputPropertyError

__all__ = [
    "ClientArgs",
    "DefaultsArgs",
    "Endpoint",
    "Expectation",
    "KeySource",
    "MeshArgs",
    "Metadata",
    "NetworkArgs",
    "NodeArgs",
    "PolicyRuleArgs",
    "PolicyTestArgs",
    "Preference",
    "RolloutArgs",
    "RotationArgs",
    "SshArgs",
    "as_settings",
    "camel_case",
]


class KeySource(Enum):
    """Who makes a node's WireGuard key."""

    STATE = "state"
    """The program; the state keeps the key as a secret."""
    NODE = "node"
    """The node itself; the private half never leaves it."""


class Metadata(Enum):
    """Who may ask the cloud's metadata service."""

    ROOT = "root"
    """Root on the node."""
    CONTAINERS = "containers"
    """Containers on the node too."""


class Endpoint(Enum):
    """Where other nodes reach a node."""

    AUTO = "auto"
    """At the node's public address."""
    NONE = "none"
    """Nowhere: the node is behind NAT, and calls the others."""


class Expectation(Enum):
    """What a policy must come to."""

    ALLOW = "allow"
    """Let the port through."""
    DENY = "deny"
    """Keep the port closed."""


class Preference(Enum):
    """The address family of two nodes that have both."""

    IPV4 = "ipv4"
    """IPv4."""
    IPV6 = "ipv6"
    """IPv6."""


class SshArgs(TypedDict):
    """Who may open SSH to the nodes."""

    port: NotRequired[int]
    """The port that sshd listens on. Default: 22."""
    from_: NotRequired[list[str]]
    """Networks that may open SSH, such as 203.0.113.0/24. Default: everywhere."""
    authorized_keys: NotRequired[list[str]]
    """Public keys that may log in as root, beside the mesh's own."""


class DefaultsArgs(TypedDict):
    """What a node is made of when the node does not say otherwise."""

    provider: NotRequired[str]
    """Who makes the servers. Default: hetzner."""
    location: NotRequired[str]
    """Where servers and addresses are made, such as fsn1."""
    type: NotRequired[str]
    """Type of the servers, such as cx23."""
    image: NotRequired[str]
    """What servers boot from, such as debian-12."""
    public_ipv4: NotRequired[bool]
    """Whether servers have a public IPv4 address. Default: true."""
    public_ipv6: NotRequired[bool]
    """Whether servers have a public IPv6 network. Default: false."""
    network: NotRequired[str]
    """The private network, one of `networks`, that the nodes are in."""
    trusted_interfaces: NotRequired[list[str]]
    """Interfaces of the node whose traffic the firewall lets in, such as docker0."""
    metadata: NotRequired[Metadata]
    """Who may ask the cloud's metadata service. Default: root."""
    user: NotRequired[str]
    """With provider static: the user that logs in at first contact. Default: root."""
    ssh_port: NotRequired[int]
    """With provider static: the port of sshd at first contact, if it is not the mesh's."""
    first_key: NotRequired[str]
    """With provider static: the secret of the configuration with the SSH key of first contact."""
    underlay_mtu: NotRequired[int]
    """The largest packet that the network below the mesh carries, 1280 to 9000. Default: 1500."""
    key_source: NotRequired[KeySource]
    """Who makes the WireGuard key of a node. Default: state."""


class NodeArgs(TypedDict):
    """One node. What is left out comes from `defaults`."""

    address: str
    """The node's address in the mesh, inside `cidr`."""
    address6: NotRequired[str]
    """The node's IPv6 address, inside `cidr6`. Default: the host part of `address`."""
    provider: NotRequired[str]
    """Who makes the server."""
    location: NotRequired[str]
    """Where server and address are made."""
    type: NotRequired[str]
    """Type of the server."""
    image: NotRequired[str]
    """What the server boots from."""
    public_ipv4: NotRequired[bool]
    """Whether the server has a public IPv4 address."""
    public_ipv6: NotRequired[bool]
    """Whether the server has a public IPv6 network."""
    network: NotRequired[str]
    """The private network that the node is in."""
    network_address: NotRequired[str]
    """The node's address in its private network. Default: its host part in the mesh."""
    enabled: NotRequired[bool]
    """false: the node is nobody's peer, and is left as it is. Default: true."""
    generation: NotRequired[int]
    """The number of the node's own WireGuard key, beside that of the mesh. Default: 1."""
    revoked: NotRequired[bool]
    """true: the node's key is not trusted any more, and the node is nobody's peer. Default: false."""
    protect: NotRequired[bool]
    """Whether server and address are protected against deletion. Default: `protect` of the mesh."""
    groups: NotRequired[list[str]]
    """Names that the policy may use for this node."""
    endpoint: NotRequired[Endpoint]
    """Where the others reach this node. Default: auto, the node's public address."""
    keepalive: NotRequired[int]
    """Seconds without traffic after which the node sends each peer an empty packet; 0: never. Default: 25."""
    relay: NotRequired[str]
    """With endpoint none: the node that passes on packets between this node and others of that kind."""
    egress: NotRequired[str]
    """Without a public IPv4 address: the node over which this one reaches the IPv4 internet."""
    formerly: NotRequired[list[str]]
    """Names that the node had before, the oldest first: the node keeps its server and its keys."""
    public: NotRequired[list[str]]
    """Ports that are open to everybody, such as tcp/443 or udp/6000-6010."""
    forward: NotRequired[bool]
    """Whether the node forwards packets. Default: false."""
    routes: NotRequired[list[str]]
    """Private networks behind this node, such as 10.20.0.0/16, that the other nodes reach through it."""
    trusted_interfaces: NotRequired[list[str]]
    """Interfaces of the node whose traffic the firewall lets in."""
    metadata: NotRequired[Metadata]
    """Who may ask the cloud's metadata service."""
    host: NotRequired[str]
    """With provider static: the public address of the server."""
    host_ipv6: NotRequired[str]
    """With provider static: the public IPv6 address of a server that has an IPv4 address as host."""
    host_key: NotRequired[str]
    """With provider static: the public SSH host key that the server shows before it becomes a node."""
    user: NotRequired[str]
    """With provider static: the user that logs in at first contact."""
    ssh_port: NotRequired[int]
    """With provider static: the port of sshd at first contact, if it is not the mesh's."""
    first_key: NotRequired[str]
    """With provider static: the secret of the configuration with the SSH key of first contact."""
    forget: NotRequired[bool]
    """With provider static: nothing is run on the server when the node goes, because the server is dead."""
    underlay_mtu: NotRequired[int]
    """The largest packet that the network below the mesh carries to and from this node."""
    key_source: NotRequired[KeySource]
    """Who makes the node's WireGuard key."""


class NetworkArgs(TypedDict):
    """A private network that nodes share."""

    cidr: str
    """Its addresses, such as 10.0.0.0/16."""
    existing: NotRequired[bool]
    """Whether the cloud project has the network already. Default: false."""
    zone: NotRequired[str]
    """The network zone in which it is made. Default: eu-central."""


class ClientArgs(TypedDict):
    """Somebody's device, which has tunnels to some nodes."""

    address: str
    """The device's address in the mesh, inside `cidr`."""
    to: list[str]
    """The nodes that it has tunnels to: nodes, groups of nodes, or all."""
    public_key: NotRequired[str]
    """WireGuard public key of a key made on the device. Left out: a key pair is made and kept as a secret."""
    groups: NotRequired[list[str]]
    """Names that the policy may use for this device."""
    enabled: NotRequired[bool]
    """false: no node has the device as a peer. Default: true."""


class PolicyRuleArgs(TypedDict):
    """Who may reach whom: names are groups, nodes, clients, or `all` (every node)."""

    from_: list[str]
    """Who opens connections."""
    to: list[str]
    """Who is reached."""
    allow: list[str]
    """On what: ports such as tcp/5432, icmp, or all."""


class PolicyTestArgs(TypedDict):
    """What the policy must come to for one port; checked before anything is changed."""

    from_: str
    """A group or a node."""
    to: str
    """A group or a node."""
    port: str
    """One port, such as tcp/5432."""
    expect: Expectation
    """allow or deny."""


class RolloutArgs(TypedDict):
    """In which order changes reach the nodes."""

    canary: NotRequired[str]
    """The node that gets changes first; the others follow once this node has committed."""


class RotationArgs(TypedDict):
    """Which keys the nodes have: a higher number gives other keys."""

    generation: NotRequired[int]
    """The number of the keys of all nodes. Default: 1."""
    preshared: NotRequired[int]
    """The number of the pre-shared keys. Default: 1."""
    ssh: NotRequired[int]
    """The number of the SSH keys: the management key, and every node's host key. Default: 1."""
    max_age: NotRequired[str]
    """The highest age of a key, such as 90d: runs warn of older keys. Default: none."""


class MeshArgs(TypedDict):
    """A whole mesh."""

    cidr: str
    """The mesh's network, such as 10.10.0.0/24."""
    cidr6: NotRequired[str]
    """The mesh's IPv6 network, such as fd1a:2b3c:4d5e::/64. Default: IPv4 only."""
    port: NotRequired[int]
    """WireGuard's UDP port. Default: 51820."""
    mtu: NotRequired[int]
    """MTU of the tunnel, 1280 to 8920. Default: what fits between each two nodes, 1420 on the internet."""
    protect: NotRequired[bool]
    """Whether servers and addresses are protected against deletion. Default: false."""
    prefer: NotRequired[Preference]
    """The address family of two nodes that have both. Default: ipv4."""
    networks: NotRequired[dict[str, NetworkArgs]]
    """Private networks that nodes share, by name."""
    ssh: NotRequired[SshArgs]
    """Who may open SSH to the nodes."""
    defaults: NotRequired[DefaultsArgs]
    """What nodes are made of."""
    nodes: dict[str, NodeArgs]
    """The nodes by name."""
    clients: NotRequired[dict[str, ClientArgs]]
    """People's devices by name."""
    policy: NotRequired[list[PolicyRuleArgs]]
    """Who may reach whom. Left out: every node reaches every other one on everything."""
    policy_tests: NotRequired[list[PolicyTestArgs]]
    """What the policy must come to."""
    rollout: NotRequired[RolloutArgs]
    """In which order changes reach the nodes."""
    rotation: NotRequired[RotationArgs]
    """Which WireGuard keys the nodes have. Left out: the keys stay what they are."""
    links: NotRequired[list[list[str]]]
    """Pairs of names (nodes, groups, `all`) that have a tunnel to each other. Left out: all nodes do."""


def as_settings(args: MeshArgs) -> dict[str, Any]:
    """Return the arguments as the stack file spells the same settings.

    Raises `InputPropertyError` for a value that only a run can know, such as another resource's output.
    """
    spelled: dict[str, Any] = _spelled(args, MeshArgs, "")
    return spelled


def _spelled(value: Any, kind: Any, path: str) -> Any:
    if isinstance(value, pulumi.Output):
        raise InputPropertyError(
            path, "is an output, and its value is known only during a run; give a plain value"
        )
    if get_origin(kind) in (NotRequired, types.UnionType):
        kind = get_args(kind)[0]
    if is_typeddict(kind) and isinstance(value, Mapping):
        kinds = get_type_hints(kind)
        return {
            camel_case(name): _spelled(inner, kinds.get(name), _below(path, camel_case(name)))
            for name, inner in value.items()
        }
    if isinstance(value, Mapping):
        of = (get_args(kind) or (str, None))[-1]
        return {name: _spelled(inner, of, _below(path, name)) for name, inner in value.items()}
    if isinstance(value, list):
        of = (get_args(kind) or (None,))[0]
        return [_spelled(inner, of, f"{path}[{index}]") for index, inner in enumerate(value)]
    return _plain(value)


def _plain(value: Any) -> Any:
    """Return a value as YAML would have it: on the wire every number is a float."""
    if isinstance(value, Enum):
        return value.value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def camel_case(name: str) -> str:
    """Return a name as the schema spells it."""
    first, *others = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
