"""The keys of the policy and of its tests, described as in mesh/settings/models.py."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from mesh.settings import fields, lists
from mesh.settings.base import Model
from mesh.settings.grants import Grant, PortRange, allowed, single_port
from mesh.settings.keytypes import Member, Members

__all__ = ["PolicyRule", "PolicyTest"]


class PolicyRule(Model):
    """Who may reach whom on what; names are groups, nodes, clients, `all`, or networks behind nodes."""

    from_: Annotated[Members, Field(alias="from", min_length=1, examples=["[web]"])]
    """The nodes and clients that may begin connections. A name is a group, a node, a client, or `all` (every
    node). A network stands for all networks inside it that nodes have as `routes`.

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
