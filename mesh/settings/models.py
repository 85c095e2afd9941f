"""What a stack file may say, key by key.

The text below a key is the key's description in docs/stack-file.md, which `make stack-file` writes: what the
key is, what happens when the key changes ("Changed later"), what is refused ("Refused").
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, PlainValidator, SerializeAsAny

from mesh.settings import addresses, addresses6, fields, interfaces, lists, names, topology
from mesh.settings.base import Model
from mesh.settings.client import Client
from mesh.settings.grants import Grant, PortRange, allowed, port_range, single_port
from mesh.settings.networks import Network
from mesh.settings.routes import member, route

__all__ = [
    "DEFAULT_PROVIDER",
    "Defaults",
    "Node",
    "PolicyRule",
    "PolicyTest",
    "Rollout",
    "Settings",
    "Ssh",
]

DEFAULT_PROVIDER: Final = "hetzner"
"""Of a node that names none."""

_DEFAULT_PORT: Final = 51820  # what wg-quick examples and most firewalls' documentation use


Port = Annotated[int, BeforeValidator(fields.port_number), Field(title="number from 1 to 65535")]
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


class Ssh(Model):
    """Who may open SSH to the nodes: where sshd listens, from where, and with which further keys."""

    port: Port = 22
    """The port on which sshd listens. A new server gets this port from cloud-init.

    Changed later: the agent moves sshd in two runs of `up` ([steps](#what-moves-in-steps)). Do not move sshd
    yourself before: the node lets SSH in only on the port that the node knows.

    Refused by the node: a port that another program has, and an sshd that cannot be made to listen there
    (`ssh.socket`, a `ListenAddress` with a port, no `sshd_config.d`). The message says what helps.
    """

    from_: Annotated[
        tuple[Annotated[IPv4Network | IPv6Network, BeforeValidator(addresses.source_network)], ...],
        BeforeValidator(lists.list_of(addresses.source_network)),
        Field(
            alias="from",
            min_length=1,
            title="list of networks",
            examples=['[203.0.113.0/24, 198.51.100.7, "2001:db8::/32"]'],
        ),
    ] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
    """The networks from which SSH may be opened. Only keys can log in, and the rate is never limited.

    Nodes can also SSH to each other: all of them without a policy; otherwise only those a rule allows or
    whose overlay address is in a network listed here.

    Changed later: the cloud's firewall and the rules of every node change. A node refuses a change that
    would lock out the machine on which `up` runs.

    Refused: names, host bits, an empty list, and addresses from which no packet arrives: an address with
    an interface (`fe80::1%eth0`), IPv4 written as IPv6 (`::ffff:203.0.113.5`), loopback, link-local,
    multicast.
    """

    authorized_keys: Annotated[
        tuple[Annotated[str, BeforeValidator(fields.authorized_key)], ...],
        BeforeValidator(lists.list_of(fields.authorized_key)),
        Field(alias="authorizedKeys", title="list of public keys", examples=["[ssh-ed25519 AAAA... me]"]),
    ] = ()
    """The SSH keys that can log in as root, beside the mesh's own management key.

    Write each key as one line of `authorized_keys`, without options.

    Changed later: our lines in `/root/.ssh/authorized_keys` change on every node. All other lines stay.

    Refused: a private key, a key that is cut.
    """


class Defaults(Model):
    """What a node is when it does not say otherwise; beside these, the keys of every provider."""

    trusted_interfaces: Annotated[
        Interfaces, Field(alias="trustedInterfaces", examples=["[docker0, br-*]", "[cni0]"])
    ] = ()
    """The bridges of a node's containers.

    Containers behind these bridges may use the services of the host and of the mesh. The mesh may use
    what the containers publish, as far as the policy allows. On a node with `forward: true`, list also
    the interface of the network behind the node: `[eth1]`.

    Changed later: the firewall rules of the node change.

    Refused: `wg0`, `lo`, the names of network cards (`eth0`, `ens3`, `wlan0`; without `forward` also
    `eth1`), and patterns that include any of these (`e*`). The node itself refuses the interface of its
    default route and the interface through which `up` reaches the node.
    """

    metadata: Metadata = "root"
    """Who may ask the cloud's metadata service at 169.254.169.254: with `root` only root on the host, with
    `containers` also containers.

    Changed later: the firewall rules of the node change.
    """

    underlay_mtu: UnderlayMtu = None
    """The largest packet that the network below the mesh carries to and from this node, in bytes.

    Without this key, 1500 counts, which the internet carries, and 1450 between two nodes in the same
    private network. Give the number for a node on a narrower network (1400 at a vSwitch), or give 9000 to
    nodes that share a network with jumbo frames. With `mtu: auto`, a pair of nodes uses the smaller number
    of both ends ([docs/mtu.md](mtu.md)).

    Changed later: `wg0` and the routes to peers get another MTU, on this node and on its peers. Tunnels
    stay up.

    Refused: a number below 1360 in a mesh with IPv6 addresses, because IPv6 needs 1280 bytes inside the
    tunnel.
    """

    provider: Annotated[str, Field(title="name")] = DEFAULT_PROVIDER
    """Who makes the node's server.

    `hetzner` makes a server; `static` is for [a server that is there already](static-nodes.md), with keys of
    its own. [Another provider can be added](add-a-provider.md). `location`, `type` and `image` are Hetzner's
    keys.

    Changed later: the node's server is deleted with its disk (a server of `static` leaves the mesh and
    stays), and the other provider's server takes its place.

    Refused: a provider that is not known.
    """

    network: Annotated[Name | None, Field(title="name of a network", examples=["backbone"])] = None
    """The private network, one of `networks`, that the nodes are in.

    Two nodes in the same private network reach each other through it, and not over the internet
    ([paths](paths.md)). At Hetzner `up` attaches the server to the network.

    Changed later: the node gets other endpoints, and so do its peers in the network. The tunnels go on; some
    packets are lost until both ends have committed.

    Refused: a network that is not in `networks`.
    """


class Node(Model):
    """One node; beside these, the keys of its provider. What defaults have is already filled in."""

    machine_model: ClassVar[type[Model]] = Model
    address: Annotated[
        IPv4Address,
        BeforeValidator(addresses.address),
        Field(title="IPv4 address", examples=["10.10.0.1"]),
    ]
    """The node's address in the mesh, its overlay address.

    You choose the address of each node, so nothing moves when a node comes or goes.

    Changed later: only files change, on every node. Connections to the old address are cut off.

    Refused: an address outside `cidr`, the network address, the broadcast address, an address that another
    node has.
    """

    address6: Annotated[
        IPv6Address | None,
        BeforeValidator(addresses6.address6),
        Field(title="IPv6 address", examples=['"fd1a:2b3c:4d5e::80"']),
    ] = None
    """The node's IPv6 address in the mesh, in a mesh with `cidr6`.

    Without this key, the node has the host part of its IPv4 address in `cidr6`: with `10.10.0.0/24` and
    `fd1a:2b3c:4d5e::/64`, the node `10.10.0.11` has `fd1a:2b3c:4d5e::b`, because `b` is 11 in hexadecimal.

    Changed later: only files change, on every node. Connections to the old address are cut off.

    Refused: an address outside `cidr6`, the network address, an address that another node has, and the key
    in a mesh without `cidr6`.
    """

    enabled: Switch = True
    """Whether the node takes part in the mesh. Use `false` for a node that is down.

    Changed later: `false` removes the node from the peers of all others; only their files change. The node's
    server, its public address and its disk stay as they are. Set it back to `true` and the next `up` updates
    the node.
    """

    protect: Switch = False
    """Whether this node is protected. Without this key, `protect` of the whole mesh counts.

    Changed later: as for `protect` of the mesh, for this node alone.
    """

    groups: Annotated[Names, Field(examples=["[web, eu]"])] = ()
    """The groups that the node belongs to. The policy can name groups.

    Changed later: under a policy, firewall rules change on the nodes that the policy concerns.

    Refused: `all`, the name of a node, a name twice.
    """

    public: Annotated[
        tuple[Annotated[PortRange, BeforeValidator(port_range)], ...],
        BeforeValidator(lists.list_of(port_range)),
        Field(title="list of ports", examples=["[tcp/443, udp/53, tcp/8000-8100]"]),
    ] = ()
    """The ports that the internet may reach. Neighbouring ports are one rule of the cloud's firewall.

    Changed later: the cloud's firewall and the node's rules change. When the node comes behind another
    cloud firewall, the change takes two runs of `up` ([steps](#what-moves-in-steps)).

    Refused: ports that overlap, WireGuard's port, SSH's port (`ssh.from` opens it), more than 45 ranges
    that do not touch.
    """

    forward: Switch = False
    """Whether the node forwards packets between the mesh and the networks behind the node.

    Other nodes reach the networks behind this node on the ports on which the policy lets them reach the
    node itself, and get answers. Hosts in these networks (with private addresses) reach the internet.
    They can begin connections to the mesh and to other private networks only if their interface is listed
    in `trustedInterfaces`. From outside, only answers pass, and what Docker publishes. Address
    translation is up to you.

    Changed later: the firewall rules of the node and `net.ipv4.ip_forward` change.
    """

    endpoint: Annotated[
        Literal["auto", "none"],
        BeforeValidator(fields.one_of("auto", "none")),
        Field(title="`auto` or `none`"),
    ] = "auto"
    """Where the other nodes reach this node. `auto` is the node's public address.

    `none` is for a node behind NAT or behind a firewall that lets nothing in: the node calls the others, and
    no other node begins. The others have no endpoint for this node. They answer to the address from which
    the node calls, also when this address changes. Their WireGuard port is open to all addresses then, but
    WireGuard does not answer strangers. Two nodes with `none` need a [`relay`](#nodesnamerelay), or no link
    ([guide](topology.md#nodes-behind-nat)).

    Changed later: files change on every node that has this one as a peer. Sessions stay.

    Refused: two nodes with `none` that have a link and no relay.
    """

    keepalive: Annotated[
        int, BeforeValidator(fields.keepalive), Field(title="number from 0 to 3600", examples=["60"])
    ] = 25
    """The seconds without traffic after which this node sends each peer an empty packet; 0 means never.

    Keepalives hold the way through NAT and firewalls open. The node that is behind NAT must send them: the
    `keepalive` of a peer counts for what this peer sends. With 0, nobody reaches a node behind NAT until
    the node itself sends something.

    Changed later: `wg0.conf` changes on this node. Tunnels stay up.
    """

    relay: Annotated[Name | None, Field(title="name of a node", examples=["db-1"])] = None
    """The node that passes on packets between this node and other nodes with `endpoint: none`.

    Both ends reach each other at their own addresses, and the policy of both ends counts as for any pair. One
    of the two names the relay. When the two name different nodes, the first in the alphabet counts that has a
    link to both. The relay forwards packets between such pairs, and nothing else.

    Changed later: files change on the relay and on the nodes that it relays. Connections between these nodes
    may stop for a moment.

    Refused: a node that does not exist, is not enabled, has `endpoint: none` itself, or has no link to this
    node; a relay for a node that has an endpoint.
    """

    routes: Annotated[
        tuple[Annotated[IPv4Network, BeforeValidator(route)], ...],
        BeforeValidator(lists.list_of(route)),
        Field(title="list of networks", examples=["[10.20.0.0/16]", "[10.244.1.0/24]"]),
    ] = ()
    """The networks behind this node that the other nodes reach through this node: a LAN, the pods of a
    cluster ([more](#networks-behind-a-node)).

    The other nodes send packets for these networks to this node, and accept packets from these networks
    only from this node. This node forwards, as with `forward: true`. Without a policy, these networks are
    members of the mesh: hosts there reach every node and are reached by every node. With a policy, a rule
    names the network in `from` or `to`. Addresses are never translated, so hosts in these networks need a
    route to `cidr` over this node.

    Changed later: only files change, on every node. While a node has `enabled: false`, nobody reaches the
    networks behind this node. Connections through a network that is removed end.

    Refused: a default route, host bits, IPv6, public addresses, loopback, link-local and multicast
    addresses, a network that overlaps `cidr` or the networks of another node, a network twice,
    `forward: false` beside `routes`, and a network that holds `172.31.1.1` (the gateway of every server at
    Hetzner). Refused, too: networks of a node that another node reaches over a relay. The other nodes
    refuse a network that [overlaps another network of the host](protocol.md#other-networks-of-the-host).
    """

    formerly: Annotated[Names, Field(examples=["[web-1]"])] = ()
    """The names that the node had before, the oldest first. `mesh rename` writes them.

    A node that lists its former names keeps its server, its public address, its keys and its sessions.
    Keep the list: the node's pre-shared keys are derived from the oldest name.

    Changed later: a name that is added renames the node ([what changes](#a-node-gets-another-name)). If the
    list is removed before `up` has renamed the node, the node's server is deleted. If the list is removed
    later, the node gets other pre-shared keys, and its sessions begin again once both ends have them.

    Refused: the name of another node, a former name of another node, a name twice. Refused by the preview:
    a node that takes the name of another one whose server still exists.
    """

    network_address: Annotated[
        IPv4Address | None,
        BeforeValidator(addresses.address),
        Field(alias="networkAddress", title="IPv4 address", examples=["10.0.0.11"]),
    ] = None
    """The node's address in its private network. Without this key, the node has the same host part there as
    in the mesh: `10.10.0.11` in `10.10.0.0/24` is `10.0.0.11` in `10.0.0.0/16`.

    Changed later: at Hetzner the server leaves the network and comes back with the new address. The peers in
    the network get the new endpoint.

    Refused: an address outside the network, the network's first address (its gateway), the network address,
    the broadcast address, an address that another node has, an address without `network`.
    """

    trusted_interfaces: Annotated[Interfaces, Field(alias="trustedInterfaces")] = ()
    metadata: Metadata = "root"
    underlay_mtu: UnderlayMtu = None
    provider: str = DEFAULT_PROVIDER
    network: Annotated[Name | None, Field(title="name of a network")] = None

    @property
    def machine(self) -> Model:
        """What its machine is made of: the keys of its provider, in the provider's own model."""
        model = self.machine_model
        return model.model_construct(**{name: getattr(self, name) for name in model.model_fields})


class PolicyRule(Model):
    """Who may reach whom on what; names are groups, nodes, clients, `all`, or networks behind nodes."""

    from_: Annotated[Members, Field(alias="from", min_length=1, examples=["[web]"])]
    """The nodes and clients that may begin connections. A name is a group, a node, a client, or `all` (every
    node). A network stands for all
    networks inside it that nodes have as `routes`.

    Changed later: firewall rules change on the nodes named in `to`. Open connections stay open.

    Refused: unknown names, a network that holds none of the `routes` or only a part of one, a rule that
    matches nothing because both ends are the same single node, a rule given twice.
    """

    to: Annotated[Members, Field(min_length=1, examples=["[db]"])]
    """The nodes that may be reached. A name is a group, a node, or `all`. A network stands for all networks
    inside it that nodes have as `routes`.

    Changed later: firewall rules change on the old and on the new nodes. Open connections stay open.

    Refused: as for `from`.
    """

    allow: Annotated[
        tuple[Annotated[Grant, BeforeValidator(allowed)], ...],
        BeforeValidator(lists.list_of(allowed)),
        Field(
            min_length=1,
            title="list of ports, `icmp` or `all`",
            examples=["[tcp/5432, udp/53, tcp/8000-8100]", "[icmp]", "[all]"],
        ),
    ]
    """The ports that the rule opens. `icmp` is ICMP of every type, `all` is everything.

    Changed later: firewall rules change on the nodes named in `to`. Open connections stay open.

    Refused: ports that overlap, ports that do not exist.
    """


class PolicyTest(Model):
    """What the policy must come to for one port, between every node of `from_` and every node of `to`."""

    from_: Annotated[Member, Field(alias="from", examples=["web"])]
    """A group, a node, a client, `all` or a network behind a node. Every pair of nodes in `from` and `to`
    is tested.

    Changed later: nothing changes on the nodes.
    """

    to: Annotated[Member, Field(examples=["db"])]
    """A group, a node, `all` or a network behind a node.

    Changed later: nothing changes on the nodes.
    """

    port: Annotated[PortRange, BeforeValidator(single_port), Field(title="one port", examples=["tcp/5432"])]
    """The port that the test asks about.

    Changed later: nothing changes on the nodes.

    Refused: a range of ports.
    """

    expect: Annotated[
        Literal["allow", "deny"],
        BeforeValidator(fields.one_of("allow", "deny")),
        Field(title="`allow` or `deny`", examples=["allow"]),
    ]
    """What the policy must answer. A test with another answer stops the preview.

    Changed later: nothing changes on the nodes.
    """


class Rollout(Model):
    """In which order changes reach the nodes: the canary first, the others once it has committed."""

    canary: Annotated[Name | None, Field(title="name of a node", examples=["web-1"])] = None
    """The node that every change reaches first.

    `up` changes the other nodes after the canary has committed. When the canary fails, rolls back or is down,
    the others stay as they are, and the error says how to go on.

    Changed later: nothing changes on the nodes.

    Refused: a node that does not exist, a node that is not enabled.
    """


class Settings(Model):
    """A whole mesh, as its stack file describes it."""

    cidr: Annotated[
        IPv4Network,
        BeforeValidator(addresses.mesh_network),
        Field(title="IPv4 network", examples=["10.10.0.0/24"]),
    ]
    """The private network of the mesh. The `address` of every node lies in this network.

    Changed later: every node needs an address in the new network. Only files change, on every node;
    connections over the old addresses are cut off.

    Refused: host bits, public address space, a network smaller than /29, IPv6 (`cidr6` is for that), a
    network with less room than there are nodes, and a network that holds `172.31.1.1` (the gateway of every
    server at Hetzner). If a node trusts the bridge of Docker, Podman, LXC, libvirt or Kubernetes, the usual
    network of this bridge is refused, too. The node itself refuses a network that [overlaps another network
    of the host](protocol.md#other-networks-of-the-host), such as a bridge of Docker's.
    """

    cidr6: Annotated[
        IPv6Network | None,
        BeforeValidator(addresses6.mesh_network6),
        Field(title="IPv6 network", examples=['"fd1a:2b3c:4d5e::/64"']),
    ] = None
    """The private IPv6 network of the mesh: nodes have an IPv6 address beside the IPv4 one. Without this key,
    a mesh has IPv4 addresses only ([both families](ipv6.md)).

    Every node has the host part of its `address` in this network, or its own `address6`. Firewall, policy,
    names and `mesh reach` hold for both families. `forward: true` switches on forwarding of IPv4 alone.

    Changed later: added, every node gets a second address; sessions and connections stay. Names lead to the
    IPv6 addresses after a second `up` ([steps](#what-moves-in-steps)). Another network or none: only files
    change, on every node; connections over the old IPv6 addresses are cut off.

    Refused: host bits, another spelling than the shortest one, a network outside `fd00::/8`, wider than /48
    or smaller than /120, a network without room for the host parts of `cidr`, and a node with a `relay`
    (a relay passes on IPv4 alone). The node itself refuses a network that overlaps another network of the
    host, and a host on which IPv6 is switched off.
    """

    port: Port = _DEFAULT_PORT
    """WireGuard's UDP port on every node.

    Changed later: the port moves in three runs of `up` ([steps](#what-moves-in-steps)). Tunnels stay up;
    packets of one moment may be lost.
    """

    mtu: Annotated[
        int | Literal["auto"],
        PlainValidator(fields.mtu),
        Field(title="number from 1280 to 8920, or `auto`", examples=["1380"]),
    ] = "auto"
    """The largest packet that fits into the tunnel, in bytes.

    With `auto`, each pair of nodes has its own MTU: what the network below carries between them, minus
    WireGuard's 80 bytes. `wg0` has the largest one, and each narrower peer has a route with its own MTU.
    Without `underlayMtu`, this is 1420 everywhere (1500 - 80). A number is the MTU of `wg0` on every
    node, for every pair. [docs/mtu.md](mtu.md) has the details.

    Changed later: `wg0` gets the new MTU on every node. Tunnels stay up.

    Refused: a number that does not fit the `underlayMtu` of a node.
    """

    protect: Switch = False
    """Whether servers, public addresses and keys are protected against deletion.

    Pulumi refuses to delete or replace a protected server and its public address, and to delete any key. The
    cloud refuses, too, to delete or rebuild the server and to give the address back, whoever asks.

    Changed later: only the protection changes. Set `false` and run `up` before you take a protected node
    out, move a protected server to another location, or run `pulumi destroy`
    ([protection](environments.md#protection)).

    Refused by the preview: a protected node that is not in the stack file any more, and another `location`
    or `provider` for a protected node.
    """

    prefer: Annotated[
        Literal["ipv4", "ipv6"],
        BeforeValidator(fields.one_of("ipv4", "ipv6")),
        Field(title="`ipv4` or `ipv6`"),
    ] = "ipv4"
    """The address family that two nodes use if both nodes have public addresses of both families.

    A private network that both nodes are in comes first ([paths](paths.md)). `up` itself reaches a node over
    IPv4 if the node has a public IPv4 address.

    Changed later: the endpoints of these nodes change, and their firewalls. The tunnels go on.
    """

    networks: Annotated[dict[str, Network], Field(default_factory=dict)]
    """The private networks that nodes share, by name. Nodes name theirs with `network`."""
    ssh: Ssh = Ssh()
    defaults: SerializeAsAny[Defaults] = Defaults()
    nodes: dict[str, SerializeAsAny[Node]]
    clients: dict[str, Client] = Field(default_factory=dict)
    # an empty value would be read as "no policy" and open everything: it has to be left out or be a list
    policy: Annotated[tuple[PolicyRule, ...] | None, BeforeValidator(lists.items)] = None
    policy_tests: Annotated[
        tuple[PolicyTest, ...], BeforeValidator(lists.items), Field(alias="policyTests")
    ] = ()
    rollout: Rollout = Rollout()
    links: Annotated[
        tuple[Annotated[tuple[str, str], BeforeValidator(topology.link)], ...] | None,
        BeforeValidator(lists.list_of(topology.link)),
        Field(min_length=1, title="list of pairs of names", examples=["[[web, db], [all, db-1]]"]),
    ] = None
    """Which nodes have a tunnel to each other. Without this key, every node has one to every other node.

    A link has two names. A name is a group, a node, or `all`. Every node of one name has a tunnel to every
    node of the other; `[web, web]` links the nodes of a group with each other. Nodes without a link do
    not reach each other, whatever the policy allows. A [guide](topology.md) shows usual forms.

    Changed later: only files change, on the nodes whose peers change. The preview warns of each pair that
    loses its link: the connections between the two nodes end.

    Refused: unknown names, a link given twice, a link of one node to itself, a node without any link, a
    rule of the policy that no linked pair can use. A policy test that expects `allow` between two nodes
    without a link fails.
    """
