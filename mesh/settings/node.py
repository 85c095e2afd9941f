"""The keys of a node and of the defaults for nodes, described as in mesh/settings/models.py."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field

from mesh.settings import addresses, addresses6, fields, lists
from mesh.settings.base import Model
from mesh.settings.grants import PortRange, port_range
from mesh.settings.keytypes import (
    Generation,
    Interfaces,
    KeySource,
    Metadata,
    Name,
    Names,
    Switch,
    UnderlayMtu,
)
from mesh.settings.routes import route

__all__ = ["DEFAULT_PROVIDER", "Defaults", "Node"]

DEFAULT_PROVIDER: Final = "hetzner"
"""Of a node that names none."""


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

    key_source: KeySource = "state"
    """Who makes the node's WireGuard key.

    With `state`, `up` makes the key, and the state keeps it as a secret. With `node`, the node itself makes
    the key, and only the public half leaves the node ([keys that never leave the
    node](rotation.md#keys-that-never-leave-the-node)). A server that is made anew makes another key then.

    Changed later: the node gets another key. Write a higher `generation` beside the change.

    Refused by the preview: a change in a mesh without `rotation`, without a higher `generation` (the node's
    own or the mesh's).
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

    Changed later: only files change, on every node. The node keeps the old address beside the new one for
    two runs ([steps](#what-moves-in-steps)). An address that another node takes over is cut off at once.

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

    Changed later: only files change, on every node. The node keeps the old address beside the new one for
    two runs ([steps](#what-moves-in-steps)). An address that another node takes over is cut off at once.

    Refused: an address outside `cidr6`, the network address, an address that another node has, and the key
    in a mesh without `cidr6`.
    """

    enabled: Switch = True
    """Whether the node takes part in the mesh. Use `false` for a node that is down.

    Changed later: `false` removes the node from the peers of all others; only their files change. The node's
    server, its public address and its disk stay as they are. Set it back to `true` and the next `up` updates
    the node.
    """

    generation: Generation = 1
    """The number of the node's own WireGuard key, beside `rotation.generation` of the mesh.

    Changed later: a higher number gives the node another key. All nodes stay connected meanwhile
    ([rotation](rotation.md)). The rotation of one node costs no more than the files of its peers.

    Refused: a number above 1 in a mesh without `rotation`. Refused by the preview: a number lower than the
    one in force, and what [`rotation.generation`](#rotationgeneration) does not go together with.
    """

    revoked: Switch = False
    """Whether the node's key is not trusted any more: somebody else may have the key.

    With `true`, the node takes no part, as with `enabled: false`: the next `up` takes its key off all other
    nodes. The node itself is left alone. With `false` again and a higher `generation`, the node comes back
    with another key.

    Changed later: `true` ends the connections between the node and all others.

    Refused: `enabled: true` beside `revoked: true`, a mesh without `rotation`, the node as canary. Refused by
    the preview: `false` again without a higher `generation` (the node's own or the mesh's).
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
    translation is up to you. IPv6 is forwarded only with an IPv6 network in [`routes`](#nodesnameroutes).

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

    egress: Annotated[Name | None, Field(title="name of a node", examples=["db-1"])] = None
    """The node over which this node, which has no public IPv4 address, reaches the IPv4 internet.

    This node gets a default route for IPv4 through the tunnel. The other node passes the packets on to public
    IPv4 addresses and masquerades them: the internet sees the public IPv4 address of the other node. Only
    connections that this node or its containers begin pass. A default route that the host has of its own
    wins. What that does not give: [IPv4 for a node without
    IPv4](paths.md#ipv4-for-a-node-without-ipv4).

    Changed later: files change on both nodes. Connections of this node to the IPv4 internet end.

    Refused: a node that does not exist, is the node itself, has no public IPv4 address, has `egress` itself,
    has no link to this node, or is reached over a relay; `egress` for a node that has a public IPv4 address.
    """

    routes: Annotated[
        tuple[Annotated[IPv4Network | IPv6Network, BeforeValidator(route)], ...],
        BeforeValidator(lists.list_of(route)),
        Field(title="list of networks", examples=["[10.20.0.0/16]", '[10.244.1.0/24, "fd20:244:1::/64"]']),
    ] = ()
    """The networks behind this node that the other nodes reach through this node: a LAN, the pods of a
    cluster ([more](#networks-behind-a-node)).

    The other nodes send packets for these networks to this node, and accept packets from these networks
    only from this node. This node forwards, as with `forward: true`, and forwards IPv6 if one of the
    networks is IPv6. Without a policy, these networks are members of the mesh: hosts there reach every node
    and are reached by every node. With a policy, a rule names the network in `from` or `to`. Addresses are
    never translated, so hosts in these networks need a route to `cidr` and `cidr6` over this node.

    Changed later: only files change, on every node. While a node has `enabled: false`, nobody reaches the
    networks behind this node. Connections through a network that is removed end.

    Refused: a default route, host bits, public addresses (of IPv6 all outside `fd00::/8`), loopback,
    link-local and multicast addresses, IPv6 in a mesh without `cidr6`, a network that overlaps `cidr`,
    `cidr6` or the networks of another node, a network twice, `forward: false` beside `routes`, and a network
    that holds `172.31.1.1` (the gateway of every server at Hetzner). Refused, too: networks of a node that
    another node reaches over a relay. The other nodes refuse a network that [overlaps another network of the
    host](protocol.md#other-networks-of-the-host). The node itself refuses to forward IPv6 where this would
    [delete a route of the host](ipv6.md#a-node-that-forwards-ipv6).
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
    key_source: KeySource = "state"
    provider: str = DEFAULT_PROVIDER
    network: Annotated[Name | None, Field(title="name of a network")] = None

    @property
    def machine(self) -> Model:
        """What its machine is made of: the keys of its provider, in the provider's own model."""
        model = self.machine_model
        return model.model_construct(**{name: getattr(self, name) for name in model.model_fields})
