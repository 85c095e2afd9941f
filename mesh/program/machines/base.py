"""What a mesh needs of a provider: for each node a machine, and what is known of it beforehand.

`Machine` is all that the rest of the program sees of a server. A provider is a `Provider` in `registry.py`;
docs/add-a-provider.md walks through one.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final, Literal, Protocol, runtime_checkable

import pulumi

from mesh.names import MeshNames
from mesh.plan import NodePlan
from mesh.plan.dangers import Loss
from mesh.program.gates import Gate
from mesh.program.previous import Previous
from mesh.settings.machines import MachineKind

__all__ = [
    "NO_ANSWER",
    "NO_ROOT",
    "Ahead",
    "Contact",
    "ExistingMachine",
    "Family",
    "FirstKey",
    "Machine",
    "Machines",
    "Provider",
    "Site",
    "private_address",
    "protection",
    "public_address",
]

Family = Literal["ipv4", "ipv6"]

NO_ANSWER: Final = r"i/o timeout|no route to host|network is unreachable"
"""What is said of a node that does not answer; a provider that can start a machine knows more of it."""
NO_ROOT: Final = r"Please login as the user"
"""What images say that do not let root in."""


class Machine(Protocol):
    """One node's machine, as it is declared."""

    @property
    def addresses(self) -> Mapping[Family, pulumi.Output[str]]:
        """Its public addresses, at least one. Other nodes' files need them: best known before it is made.

        The families are those that its model in the stack file says (`families`; without that, any one).
        """

    @property
    def identity(self) -> pulumi.Output[str]:
        """What this machine has and no other one: once it is another, everything on it is done anew."""

    @property
    def resource(self) -> pulumi.Resource | None:
        """What it lives and dies with, a child of the node: deleting that needs no cleaning up on it.

        None where the machine outlives its node.
        """

    @property
    def ready(self) -> Sequence[pulumi.Resource]:
        """What must be done, beside `resource`, before it is dialled."""

    @property
    def first_host_key(self) -> pulumi.Output[str]:
        """The public SSH host key that it shows at first contact, a line of authorized_keys."""

    @property
    def remedies(self) -> Mapping[str, str]:
        """What errors of its commands mean: a regular expression -> what helps (`program/remedies.py`)."""


@dataclass(frozen=True, kw_only=True)
class Contact:
    """How a machine that the provider has not made is met: the login, its key, and the command.

    Without a `private_key` the SSH agent of whoever runs Pulumi has the key. `host_key` is what the machine
    is pinned to, `command` is what first contact runs. `part` takes the mesh off the machine again; None for
    one on which nothing is run any more.
    """

    user: str
    port: int
    private_key: pulumi.Output[str] | None
    host_key: pulumi.Output[str]
    command: pulumi.Output[str]
    part: str | None


@runtime_checkable
class ExistingMachine(Machine, Protocol):
    """A machine that is there before its node, and stays when the node goes."""

    def contact(self, host_key: pulumi.Output[str]) -> Contact:
        """Return how it is met; `host_key` is the public SSH host key that it gets."""


@dataclass(frozen=True, kw_only=True)
class FirstKey:
    """A throw-away SSH host key for a new machine: the private half, a secret, and the public one.

    `machines/cloud_init.py` brings it there with user data.
    """

    private: pulumi.Output[str]
    public: pulumi.Output[str]


class Machines(Protocol):
    """The machines of one mesh at one provider, and what they share."""

    def machine(self, node: NodePlan, *, key: FirstKey, parent: pulumi.Resource) -> Machine:
        """Declare the machine of a node, below `parent`.

        Of one that is not enabled nothing may change, except for its protection. `node.protect` asks for the
        engine's protection of everything that would be lost (`protection`), and for the provider's own.
        """


@dataclass(frozen=True, kw_only=True)
class Site:
    """What a mesh tells a provider: everything by the node's name.

    `nodes` are those at this provider; `gates` say what must be open on the way to each, `ssh_ports` where
    its sshd is found now. `management_key` is the public key that opens them, `previous` what the state had
    before this run, and `told` the nodes whose losses are told already.
    """

    stack: str
    names: MeshNames
    parent: pulumi.Resource
    nodes: Mapping[str, NodePlan]
    gates: Mapping[str, Gate]
    ssh_ports: Mapping[str, int]
    management_key: pulumi.Output[str]
    previous: Previous
    told: Collection[str]


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """What is known before the first step: the nodes at this provider, and the state.

    `raw` is the stack file's value, for the places in it.
    """

    stack: str
    names: MeshNames
    nodes: Mapping[str, NodePlan]
    raw: Any
    previous: Previous


class Provider(ABC):
    """Who makes machines. One value for each, in `registry.py`."""

    @property
    @abstractmethod
    def kind(self) -> MachineKind:
        """Its keys in the stack file, and its limits: pure, checked while planning."""

    @abstractmethod
    def declare(self, site: Site) -> Machines:
        """Declare what all machines share."""

    def look_ahead(self, ahead: Ahead) -> None:  # noqa: B027 - not every provider can be asked
        """Refuse what cannot be done, before anything is. Raises `SettingsError`, `pulumi.RunError`."""

    def first_port(self, node: NodePlan) -> int | None:  # noqa: ARG002
        """Return the port of sshd at first contact; None where that is the mesh's own."""
        return None

    def look_back(self, gone: Collection[str], previous: Previous, names: MeshNames) -> None:  # noqa: B027
        """Refuse, before anything is changed, what cannot be done for nodes that are `gone` from here.

        Raises `pulumi.RunError`.
        """

    def loss(self, name: str, node: NodePlan | None, previous: Previous) -> Loss | None:  # noqa: ARG002
        """Say what a run takes away of a node's machine; None of one that is not this provider's.

        `node` is None for one that is taken out.
        """
        return None


def protection(*, wanted: bool) -> bool | None:
    """Return the option `protect` of a resource; None leaves the matter to the resource's parent."""
    return True if wanted else None


def public_address(machine: Machine) -> pulumi.Output[str]:
    """Return the address that a machine is dialled at, and that peers send to: IPv4 where it has one."""
    return machine.addresses.get("ipv4") or machine.addresses["ipv6"]


def private_address(machine: Machine, planned: IPv4Address) -> pulumi.Output[str]:
    """Return a machine's address in its private network, once it is in that.

    A machine that has to be put there says so by `attached`; any other has the address that is planned.
    """
    attached: pulumi.Output[str] | None = getattr(machine, "attached", None)
    return pulumi.Output.from_input(str(planned)) if attached is None else attached
