"""The keys of a client: somebody's device, such as a laptop or a phone."""

from ipaddress import IPv4Address
from typing import Annotated

from pydantic import BeforeValidator, Field

from mesh.settings import addresses, clients
from mesh.settings.base import Model
from mesh.settings.keytypes import Names, Switch

__all__ = ["Client"]


class Client(Model):
    """Somebody's device, such as a laptop or a phone: it has tunnels to some nodes, and is no node."""

    address: Annotated[
        IPv4Address,
        BeforeValidator(addresses.address),
        Field(title="IPv4 address", examples=["10.10.0.200"]),
    ]
    """The client's address in the mesh.

    Changed later: the client needs its configuration again (`mesh client NAME`). Files change on the nodes in
    `to`, which let the device in with either address for two runs ([steps](#what-moves-in-steps)).

    Refused: as for the `address` of a node, and an address that a node or another client has.
    """

    public_key: Annotated[
        str | None,
        BeforeValidator(clients.public_key),
        Field(
            alias="publicKey",
            title="WireGuard public key",
            examples=["B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw="],
        ),
    ] = None
    """The public half of a key that was made on the device. The private half never leaves the device.

    Without this key, `up` makes a key pair and keeps it in the stack's state as a secret.

    Changed later: the nodes in `to` know the new key at once, and the old one no longer. A generated key is
    deleted when this key is written.

    Refused: a value that is no key, a key that anybody could compute with (a point of small order), the key
    of another client. Never write a private key here: nothing can tell the two apart.
    """

    to: Annotated[Names, Field(min_length=1, examples=["[bastion]"])]
    """The nodes that the client has tunnels to. A name is a node, a group of nodes, or `all`.

    These nodes listen for WireGuard from everywhere, because nobody knows where the client calls from.
    The client reaches no other node.

    Changed later: files change on the old and on the new nodes. The client needs its configuration again.

    Refused: unknown names, names of clients, a name twice, an empty list.
    """

    groups: Annotated[Names, Field(examples=["[people]"])] = ()
    """The groups that the client belongs to. The policy can name groups in `from`.

    `all` in a policy means every node, and no client. Without a policy, a client reaches everything that its
    nodes offer to the mesh.

    Changed later: under a policy, firewall rules change on the nodes in `to`.

    Refused: `all`, the name of a node or client, a name twice.
    """

    enabled: Switch = True
    """Whether the client has tunnels. Use `false` for a device that is lost, or not needed for a while.

    Changed later: `false` removes the client from all nodes within one `up`. Its key and its address stay.
    """
