"""Servers that are there already, as a provider."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import pulumi

from mesh.names import AGENT, BOOTSTRAP, COMMAND, LEAVE, MeshNames
from mesh.plan import NodePlan
from mesh.plan.dangers import Loss
from mesh.program.access import answers
from mesh.program.machines.base import Ahead, Provider, Site
from mesh.program.machines.static.first_key import trouble_with_agent, trouble_with_key
from mesh.program.machines.static.model import host_of, identity_of, is_identity, wanted
from mesh.program.machines.static.server import Servers
from mesh.program.previous import Previous
from mesh.settings import Problem, SettingsError
from mesh.settings.machines import MachineKind
from mesh.settings.static import StaticDefaults, StaticMachine, check_static

__all__ = ["Static"]

_LEFT: Final = (
    "the tunnel wg0, the firewall table wgmesh, the blocks in /etc/hosts and /root/.ssh/authorized_keys, the "
    "SSH host key, kernel settings, units and /var/lib/wgmesh"
)


class Static(Provider):
    """Servers by address, login and host key."""

    @property
    def kind(self) -> MachineKind:
        """Address, login and host key."""
        return MachineKind(model=StaticMachine, check=check_static, defaults=StaticDefaults)

    def declare(self, site: Site) -> Servers:
        """Declare nothing: servers that are there share nothing."""
        return Servers(site=site)

    def first_port(self, node: NodePlan) -> int | None:
        """Return what the stack file says of sshd at first contact."""
        return wanted(node).ssh_port

    def look_ahead(self, ahead: Ahead) -> None:
        """Refuse another server under the name of one that is in the mesh, and a login that cannot work."""
        problems = tuple(_problems(ahead))
        if problems:
            raise SettingsError(problems)

    def look_back(self, gone: Collection[str], previous: Previous, names: MeshNames) -> None:
        """Refuse to begin where a server that leaves the mesh does not answer; a preview does not knock."""
        if pulumi.runtime.is_dry_run():
            return
        silent = [
            _silent(name, previous, previous.part(COMMAND, name, LEAVE)["connection"])
            for name in sorted(gone)
            if _leaves(previous.part(COMMAND, name, LEAVE))
            and not _answers(previous.part(COMMAND, name, LEAVE)["connection"])
        ]
        if silent:
            raise pulumi.RunError(names.said("\n".join(silent)))

    def loss(self, name: str, node: NodePlan | None, previous: Previous) -> Loss | None:
        """Say what becomes of a server: it stays, whatever the stack file says."""
        if not is_identity((previous.part(COMMAND, name, BOOTSTRAP).get("triggers") or [None])[0]):
            return None
        host = previous.part(COMMAND, name, BOOTSTRAP)["connection"]["host"]
        if not _leaves(previous.part(COMMAND, name, LEAVE)):
            return Loss(everything=f"nothing runs on its server {host}, which keeps what the mesh put there")
        everything = f"its server {host} runs `leave`, and is as it was before the mesh"
        if node is None or wanted(node).forget or identity_of(node) == _identity(name, previous):
            return Loss(everything=everything)
        again = "counts as installed anew (hostKey): first contact and all files are done again"
        return Loss(everything=everything, changes=(again,))


def _identity(name: str, previous: Previous) -> object:
    return (previous.part(COMMAND, name, BOOTSTRAP).get("triggers") or [None])[0]


def _leaves(record: Mapping[str, Any]) -> bool:
    """Whether the deletion of what takes the mesh off a server runs anything."""
    return bool(record.get("connection")) and bool(record.get("delete"))


def _answers(connection: Mapping[str, Any]) -> bool:
    return answers(str(connection["host"]), int(connection.get("port") or 22))


def _silent(name: str, previous: Previous, connection: Mapping[str, Any]) -> str:
    where = f"{connection['host']}, port {int(connection.get('port') or 22)}"
    urn = previous.urn(COMMAND, name, LEAVE)
    return (
        f"{name} leaves the mesh, but SSH does not answer on its server ({where}). Nothing was changed. The "
        f"server still has {_LEFT}. If the server comes back, start it and run up again. If it is dead, "
        f"`pulumi state delete '{urn}'`, and run up again: then nothing runs on the server. On the server "
        f"itself, `python3 -IS {AGENT} leave` takes the mesh off."
    )


def _problems(ahead: Ahead) -> Iterator[Problem]:
    for name, node in ahead.nodes.items():
        path = f"mesh.nodes.{name}"
        had = _identity(name, ahead.previous)
        connection = ahead.previous.part(COMMAND, name, LEAVE).get("connection")
        if wanted(node).forget:
            continue
        if had == identity_of(node):
            continue
        if is_identity(had) and connection and connection["host"] != host_of(node):
            yield Problem(path=f"{path}.host", message=_another(name, node, str(connection["host"])))
            continue
        yield from _no_login(path, node)


def _another(name: str, node: NodePlan, former: str) -> str:
    return (
        f"is {host_of(node)}, and hostKey is another one, too: so this is another server than the one at "
        f"{former}, which is in the mesh. Take {name} out and run up; then add the other server. If the "
        f"server at {former} is dead, write `enabled: false` and `forget: true` and run up; then make this "
        f"change"
    )


def _no_login(path: str, node: NodePlan) -> Iterator[Problem]:
    key = wanted(node).first_key
    if key is not None:
        trouble = trouble_with_key(key)
        if trouble is not None:
            yield Problem(path=f"{path}.firstKey", message=trouble)
        return
    trouble = trouble_with_agent()
    if trouble is None:
        return
    if pulumi.runtime.is_dry_run():
        pulumi.log.warn(f"{path}: {trouble}. `up` does not begin without")
        return
    yield Problem(path=path, message=trouble)
