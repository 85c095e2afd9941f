"""A provider for machines in a basement: the command `basement` makes a machine from a name and an image."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pulumi
from pulumi_command import local
from pydantic import BeforeValidator

from mesh.plan import NodePlan
from mesh.program.former import former_parts
from mesh.program.machines import NO_ANSWER, Family, FirstKey, Provider, Site, protection
from mesh.program.machines.cloud_init import user_data
from mesh.settings import Model, Problem
from mesh.settings.fields import word
from mesh.settings.machines import MachineKind
from mesh.settings.raw import Finding, nodes

ROOM = 20


class BasementMachine(Model):
    """A node's keys in the stack file that only this provider has."""

    image: Annotated[str, BeforeValidator(word("debian-12"))] = "debian-12"


def check_room(raw: Mapping[Any, Any], _stack: str | None, _mesh: str) -> Iterator[Finding | Problem]:
    """Report too many machines during planning, together with all other mistakes."""
    count = len(nodes(raw))
    if count > ROOM:
        yield ("nodes",), f"are {count}, but the basement has room for {ROOM}; remove some nodes"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine in the basement."""

    resource: local.Command
    first_host_key: pulumi.Output[str]

    @property
    def addresses(self) -> Mapping[Family, pulumi.Output[str]]:
        """The address that the command prints. The command reads a secret, but its output is not secret."""
        said = pulumi.Output.unsecret(self.resource.stdout)
        return {"ipv4": said.apply(lambda answer: str(json.loads(answer)["address"]))}

    @property
    def identity(self) -> pulumi.Output[str]:
        """The resource's id: a machine that is made again has another id."""
        return self.resource.id

    @property
    def ready(self) -> Sequence[pulumi.Resource]:
        """A created machine is ready."""
        return ()

    @property
    def remedies(self) -> Mapping[str, str]:
        """The texts that fit this provider better than the general ones."""
        return {NO_ANSWER: "no answer on port {port}: check that its lamp is on, then run up again."}


@dataclass(frozen=True, kw_only=True)
class Basement:
    """The machines of one mesh, without shared resources."""

    site: Site

    def machine(self, node: NodePlan, *, key: FirstKey, parent: pulumi.Resource) -> Machine:
        """Declare a machine; `up` deletes the machine when its node leaves the stack file."""
        assert isinstance(node.machine, BasementMachine)
        name = f"{self.site.stack}-{self.site.names.of(node.oldest_name)}"
        made = local.Command(
            self.site.names.part(node.name, "machine"),
            create=f"basement create {name} {node.machine.image}",
            delete=f"basement delete {name}",
            stdin=pulumi.Output.all(key.private, key.public).apply(
                lambda pair: user_data(node.name, pair[0], pair[1], ssh_port=node.access.ssh_port)
            ),
            environment={"SSH_KEY": self.site.management_key},
            add_previous_output_in_env=False,
            # another image replaces the machine, but a node that is not enabled does not change
            triggers=[node.machine.image],
            opts=pulumi.ResourceOptions(
                parent=parent,
                aliases=former_parts(self.site.names, node, "machine"),
                protect=protection(wanted=node.protect),
                delete_before_replace=True,
                ignore_changes=["stdin", "environment", *(() if node.enabled else ("create", "triggers"))],
            ),
        )
        return Machine(resource=made, first_host_key=key.public)


class BasementProvider(Provider):
    """The provider as the registry lists it."""

    @property
    def kind(self) -> MachineKind:
        """The provider's keys in the stack file, and its limits."""
        return MachineKind(model=BasementMachine, check=check_room)

    def declare(self, site: Site) -> Basement:
        """Return the machines of one mesh."""
        return Basement(site=site)
