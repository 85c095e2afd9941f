"""A provider for machines in a basement: whatever its command `basement` makes of a name and an image."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pulumi
from pulumi_command import local
from pydantic import BeforeValidator

from mesh.plan import NodePlan
from mesh.program.machines import NO_ANSWER, Family, FirstKey, Provider, Site
from mesh.program.machines.cloud_init import user_data
from mesh.settings import Model, Problem
from mesh.settings.fields import word
from mesh.settings.machines import MachineKind
from mesh.settings.raw import Finding, nodes

ROOM = 20


class BasementMachine(Model):
    """The keys of a node in the stack file, beside those that every node has."""

    image: Annotated[str, BeforeValidator(word("debian-12"))] = "debian-12"


def check_room(raw: Mapping[Any, Any], _stack: str | None, _mesh: str) -> Iterator[Finding | Problem]:
    """There is room for so many machines: found out while planning, with all other mistakes."""
    count = len(nodes(raw))
    if count > ROOM:
        yield ("nodes",), f"are {count}, and the basement has room for {ROOM}; take some out"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine in the basement."""

    resource: local.Command
    first_host_key: pulumi.Output[str]

    @property
    def addresses(self) -> Mapping[Family, pulumi.Output[str]]:
        """What the command says. It reads a secret, so all of it counts as one; an address is none."""
        said = pulumi.Output.unsecret(self.resource.stdout)
        return {"ipv4": said.apply(lambda answer: str(json.loads(answer)["address"]))}

    @property
    def identity(self) -> pulumi.Output[str]:
        """The resource's id: a machine that is made anew has another one."""
        return self.resource.id

    @property
    def ready(self) -> Sequence[pulumi.Resource]:
        """It is ready once it is made."""
        return ()

    @property
    def remedies(self) -> Mapping[str, str]:
        """What is known better of this provider than of any other."""
        return {NO_ANSWER: "no answer on port {port}: see whether its lamp is on, then run up again."}


@dataclass(frozen=True, kw_only=True)
class Basement:
    """The machines of one mesh; they share nothing."""

    site: Site

    def machine(self, node: NodePlan, *, key: FirstKey, parent: pulumi.Resource) -> Machine:
        """Have a machine made, and taken away when its node is taken out."""
        assert isinstance(node.machine, BasementMachine)
        name = f"{self.site.stack}-{self.site.names.of(node.name)}"
        made = local.Command(
            self.site.names.part(node.name, "machine"),
            create=f"basement create {name} {node.machine.image}",
            delete=f"basement delete {name}",
            stdin=pulumi.Output.all(key.private, key.public).apply(
                lambda pair: user_data(node.name, pair[0], pair[1], ssh_port=node.access.ssh_port)
            ),
            environment={"SSH_KEY": self.site.management_key},
            add_previous_output_in_env=False,
            # another image is another machine; of a node that is not enabled nothing changes
            triggers=[node.machine.image],
            opts=pulumi.ResourceOptions(
                parent=parent,
                delete_before_replace=True,
                ignore_changes=["stdin", "environment", *(() if node.enabled else ("create", "triggers"))],
            ),
        )
        return Machine(resource=made, first_host_key=key.public)


class BasementProvider(Provider):
    """What the registry has."""

    @property
    def kind(self) -> MachineKind:
        """Its keys in the stack file, and its limits."""
        return MachineKind(model=BasementMachine, check=check_room)

    def declare(self, site: Site) -> Basement:
        """Nothing is shared."""
        return Basement(site=site)
