"""Private networks that nodes share beside the internet: what the stack file says of them."""

from ipaddress import IPv4Network
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from mesh.settings import addresses, fields
from mesh.settings.base import Model
from mesh.settings.keytypes import Switch

__all__ = ["Network"]

_ZONE: Final = "eu-central"


class Network(Model):
    """One private network. At Hetzner, the cloud's firewalls do not apply in it."""

    cidr: Annotated[
        IPv4Network,
        BeforeValidator(addresses.mesh_network),
        Field(title="IPv4 network", examples=["10.0.0.0/16"]),
    ]
    """The addresses of the private network. The first one belongs to the gateway.

    Changed later: at Hetzner the network is made anew, and every node in it gets its address in the new
    one. Between these nodes the mesh is interrupted until all of them have the new endpoints.

    Refused: a network that overlaps `cidr` of the mesh, another private network or `routes`; the forms that
    `cidr` of the mesh refuses.
    """

    existing: Switch = False
    """Whether the network exists already. `true` uses the network of this name in the cloud project, and
    never changes or deletes it. `cidr` is its range, or one of its subnets.

    Changed later: the mesh leaves the one network and makes or joins the other.

    Refused by the preview: a name that the cloud project does not have, and another `cidr` than the cloud
    has.
    """

    zone: Annotated[str, BeforeValidator(fields.word(_ZONE)), Field(title="name")] = _ZONE
    """The network zone at Hetzner in which the network is made. `eu-central` has fsn1, nbg1 and hel1.

    Changed later: the nodes get another subnet, as for `cidr`.

    Refused: a node whose location is in another zone.
    """
