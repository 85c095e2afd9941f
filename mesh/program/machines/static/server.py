"""One server that is there already: a `Machine` that the mesh meets and leaves again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import pulumi

from mesh.plan import NodePlan
from mesh.program.machines.base import NO_ROOT, Contact, Family, FirstKey, Site
from mesh.program.machines.static.contact import PART, meeting
from mesh.program.machines.static.first_key import first_key
from mesh.program.machines.static.model import host_of, identity_of, key_of, wanted
from mesh.program.machines.static.shown import pinned

__all__ = ["Server", "Servers"]

_REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        r"sudo: (?:a password is required|a terminal is required|no tty)|is not in the sudoers file": """
            the user of first contact may not run sudo without a password. Add a line to sudoers on the server
            (`USER ALL=(ALL) NOPASSWD:ALL`), or name another user in the stack file (user), then run up
            again. Nothing was changed.""",
        r"sudo: (?:command )?not found|sudo: No such file": """
            the server has no sudo, so only root can log in at first contact: set user to root in the stack
            file, or install sudo. Then run up again.""",
        r"dial unix .{1,200}: connect: ": """
            the SSH agent that SSH_AUTH_SOCK names on this machine is gone. If first contact needs the agent,
            start one (`eval $(ssh-agent)`, `ssh-add`); otherwise `unset SSH_AUTH_SOCK`. Then run up again.
            Nothing was sent.""",
        r"host key mismatch": """
            the server shows another SSH host key than the stack file (hostKey) and the state have. If the
            server was installed anew, compare and write its new key into hostKey: `python -m mesh
            scan-host-key` prints it. Otherwise something else answers at this address: find out what before
            you go on. Nothing was sent.""",
        r"unable to authenticate": """
            sshd does not let the login in. At first contact: does the server have the public half of your
            key (in ~/.ssh/authorized_keys of the user that the stack file names), and does your SSH agent
            (`ssh-add -l`) or firstKey have the private half? An agent with many keys runs into MaxAuthTries.
            Later: the key of this stack must be in /root/.ssh/authorized_keys, and PermitRootLogin must not
            be `no`. Correct that, then run up again.""",
        NO_ROOT: """
            the server does not let root work over SSH: in /root/.ssh/authorized_keys, remove what stands
            before the key (`command=...`), or name another user in the stack file (user). Then run up
            again.""",
    }
)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server with its node's plan; `site` has what the mesh tells."""

    node: NodePlan
    site: Site

    @property
    def addresses(self) -> Mapping[Family, pulumi.Output[str]]:
        """They are known before anything is done."""
        host, other = host_of(self.node), wanted(self.node).host_ipv6
        first: Family = "ipv6" if ":" in host else "ipv4"
        found = {first: pulumi.Output.from_input(host)}
        return found if other is None else {**found, "ipv6": pulumi.Output.from_input(other)}

    @property
    def identity(self) -> pulumi.Output[str]:
        """The fingerprint of its own host key."""
        return pulumi.Output.from_input(identity_of(self.node))

    @property
    def resource(self) -> pulumi.Resource | None:
        """It outlives its node."""
        return None

    @property
    def ready(self) -> Sequence[pulumi.Resource]:
        """It runs."""
        return ()

    @property
    def first_host_key(self) -> pulumi.Output[str]:
        """As the stack file has it."""
        return pulumi.Output.from_input(key_of(self.node))

    @property
    def remedies(self) -> Mapping[str, str]:
        """Of logins that the mesh has not made."""
        return _REMEDIES

    def contact(self, host_key: pulumi.Output[str]) -> Contact:
        """Return how it is met."""
        machine = wanted(self.node)
        port = machine.ssh_port or self.node.access.ssh_port
        name = machine.first_key

        def command(values: Any) -> str:
            management, shown = values
            return meeting(
                machine.user,
                networks=" ".join(str(each.network) for each in self.node.overlay.addresses),
                management_key=management,
                host_key=shown,
            )

        keys: pulumi.Output[Any] = pulumi.Output.all(self.site.management_key, host_key)
        return Contact(
            user=machine.user,
            port=port,
            private_key=None if name is None else first_key(name),
            host_key=pinned(key_of(self.node), host_key, address=host_of(self.node), port=port),
            command=keys.apply(command),
            part=None if machine.forget else PART,
        )


@dataclass(frozen=True, kw_only=True)
class Servers:
    """The servers of one mesh; they share nothing."""

    site: Site

    def machine(self, node: NodePlan, *, key: FirstKey, parent: pulumi.Resource) -> Server:  # noqa: ARG002
        """Return a node's server: nothing is declared for it."""
        return Server(node=node, site=self.site)
