"""What a stack file may say, key by key.

The text below a key is the key's description in docs/stack-file.md, which `make stack-file` writes: what the
key is, what happens when the key changes ("Changed later"), what is refused ("Refused").
"""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, PlainValidator, SerializeAsAny

from mesh.settings import addresses, addresses6, fields, lists, topology
from mesh.settings.base import Model
from mesh.settings.client import Client
from mesh.settings.keytypes import Days, Generation, Name, Port, Switch
from mesh.settings.networks import Network
from mesh.settings.node import Defaults, Node
from mesh.settings.policy import PolicyRule, PolicyTest
from mesh.settings.rotation import given_rotation

__all__ = ["Rollout", "Rotation", "Settings", "Ssh"]

_DEFAULT_PORT: Final = 51820  # what wg-quick examples and most firewalls' documentation use


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


class Rollout(Model):
    """In which order changes reach the nodes: the canary first, the others once it has committed."""

    canary: Annotated[Name | None, Field(title="name of a node", examples=["web-1"])] = None
    """The node that every change reaches first.

    `up` changes the other nodes after the canary has committed. When the canary fails, rolls back or is down,
    the others stay as they are, and the error says how to go on.

    Changed later: nothing changes on the nodes.

    Refused: a node that does not exist, a node that is not enabled.
    """


class Rotation(Model):
    """Which keys the nodes have. A higher number gives other keys ([rotation](rotation.md)).

    Without this key, the keys stay what they are. `rotation: {}` prepares the mesh: every node has a second
    UDP port (`port` + 1; 65534 for 65535) on which the nodes meet while their keys are replaced, and the
    firewalls let the other nodes in there.
    """

    generation: Generation = 1
    """The number of the WireGuard keys of all nodes.

    Changed later: a higher number gives every node another key in one `up`. Tunnels stay up: each pair of
    nodes goes on with the old keys until both ends have the new ones. `up` waits for that, and says which
    nodes hold it up. Devices (`clients`) need their configuration again.

    Refused by the preview: a number lower than the one in force; a higher one together with another `port` or
    with the new name of a node; the removal of `rotation` once a key was replaced.
    """

    preshared: Generation = 1
    """The number of the pre-shared keys of all pairs.

    Changed later: a higher number gives every pair another pre-shared key, with or without a higher
    `generation`. Devices (`clients`) need their configuration again.

    Refused by the preview: as for `rotation.generation`.
    """

    ssh: Generation = 1
    """The number of the SSH keys: the management key, and the host key of every node.

    Changed later: a higher number gives the mesh another management key, and every node another host key.
    `up` brings them over connections with the old keys. Both management keys open a node until the next run
    of `up` ([steps](#what-moves-in-steps)). No server is replaced, and nobody is asked to trust a new key.

    Refused by the preview: a number lower than the one in force.
    """

    max_age: Annotated[Days, Field(alias="maxAge", examples=["90d"])] = None
    """The highest age of a key. `preview`, `up` and `mesh check` warn of older keys
    ([rotation](rotation.md#how-old-keys-may-be)). No key changes by that.

    The age counts from the day, in UTC, of the `up` that made the key. For keys whose day the state does not
    have, it counts from the first `up` with `maxAge`.

    Changed later: the state begins to keep these days, or forgets them. Nothing changes on the nodes.
    """


class Settings(Model):
    """A whole mesh, as its stack file describes it."""

    cidr: Annotated[
        IPv4Network,
        BeforeValidator(addresses.mesh_network),
        Field(title="IPv4 network", examples=["10.10.0.0/24"]),
    ]
    """The private network of the mesh. The `address` of every node lies in this network.

    Changed later: every node needs an address in the new network. Only files change, on every node. Nodes
    keep the old addresses beside the new ones for two runs ([steps](#what-moves-in-steps)).

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
    names and `mesh reach` hold for both families. A relay passes on both. Forwarding of IPv6 is switched on
    for relays and for IPv6 networks in `routes`, and not by `forward: true`.

    Changed later: added, every node gets a second address; sessions and connections stay. Names lead to the
    IPv6 addresses after a second `up` ([steps](#what-moves-in-steps)). Another network: nodes keep the old
    addresses beside the new ones for two runs. Removed: connections over IPv6 are cut off.

    Refused: host bits, another spelling than the shortest one, a network outside `fd00::/8`, wider than /48
    or smaller than /120, and a network without room for the host parts of `cidr`. The node itself refuses a
    network that overlaps another network of the host, and a host on which IPv6 is switched off.
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
    rotation: Annotated[Rotation | None, BeforeValidator(given_rotation)] = None
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
