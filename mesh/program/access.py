"""How each node is dialled in this run, and which of its doors stay open until a new one is known to be.

A node accepts what it has committed, not what the stack file says now: the state has the files, the keys and
the connection of its last success, and those are what this run dials with. What a node commits in this run
lets in both that and what is wanted. So a run may fail, be killed or be taken back at any point, and the next
one still gets in. What is wanted counts as open from the run after; then the old door is closed.
"""

import socket
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Any, Final

import pulumi

from mesh.names import APPLY, BOOTSTRAP, COMMAND, DIRECTORY, INSTALL, KEYS, MANAGEMENT_KEY, OWN_KEY, STASH
from mesh.plan import MeshPlan, NodePlan
from mesh.program.directory import private_addresses, public_addresses
from mesh.program.first_contact import key_brought
from mesh.program.keys import brought_host_key, short_ssh_key, ssh_public_line
from mesh.program.previous import Previous
from mesh.remote import has_run
from mesh.render import Doors, Endpoint, Moving, Unknown, read_doors

__all__ = [
    "Access",
    "Committed",
    "answers",
    "committed",
    "committed_doors",
    "doors_of",
    "plan_access",
    "ssh_limits",
    "with_names",
]

_Address = IPv4Address | IPv6Address

# Later steps first: each is dialled with what the one before it was.
_LATEST_FIRST: Final = (APPLY, KEYS, OWN_KEY, INSTALL, BOOTSTRAP)
_EVERYWHERE: Final = frozenset({"0.0.0.0/0", "::/0"})
_NO_PORTS: Final[Mapping[str, int]] = MappingProxyType({})
_KNOCK_SECONDS: Final = 5.0
_KNOCKS_AT_ONCE: Final = 32


@dataclass(frozen=True, kw_only=True)
class Committed:
    """What the state knows of a node that exists.

    `server` is the cloud's id of the server all of it holds for, `address` the public one, `doors` what it
    last committed (None before its first commit), `ssh_ports` where sshd may be found, the likeliest first.
    `private_keys` are management keys by their public line, as what connects has them: the one that its
    commands have in the state is the same text, so that they do not change by its form. `host_key` is the
    public host key that it shows, None where it may show its first one only.
    """

    server: str
    address: str
    doors: Doors | None
    ssh_ports: tuple[int, ...]
    management_keys: tuple[str, ...]
    private_keys: Mapping[str, str] = field(repr=False)
    host_key: str | None


@dataclass(frozen=True, kw_only=True)
class Access:
    """The ways to a node in this run: `port` is dialled, `moving` stays open beside what is planned.

    `endpoint_port` is where peers find it, `committed` what it has; None for a node that is new. `first_port`
    is where sshd listens at first contact, None where that is the mesh's own port. `reached_outside` is
    whether a member of the mesh has committed to find it over the internet.
    """

    port: int
    endpoint_port: int
    moving: Moving
    committed: Committed | None
    first_port: int | None = None
    reached_outside: bool = False

    def of(self, server: object) -> Committed | None:
        """Return what is known of this very server, given its id; nothing of one that was made anew."""
        return self.committed if self.committed and self.committed.server == server else None

    def former_management_key(self, server: object, wanted: str | Unknown) -> str | None:
        """Return the public management key that opens a node, unless it is the one that is wanted."""
        had = self.of(server)
        if had is None or had.management_keys[:1] == (wanted,):
            return None
        found = next((key for key in had.management_keys if key in had.private_keys), None)
        return None if found == wanted else found


def committed_doors(previous: Previous, name: str) -> Doors | None:
    """Read what a node has committed; None before its first commit."""
    text = previous.part(COMMAND, name, APPLY).get("stdin")
    return read_doors(text) if isinstance(text, str) else None


def committed(previous: Previous, name: str) -> Committed | None:
    """Read what the state has of a node; None when no step on it ever succeeded."""
    records = _records(previous, name)
    last = next((record for record in records.values() if record.get("connection")), None)
    if last is None:
        return None
    connection = last["connection"]
    doors = committed_doors(previous, name) if records[APPLY] else None
    brought = None if last is not records[BOOTSTRAP] else key_brought(last.get("create"))
    used = None if brought else str(connection["privateKey"])
    stored = previous.record(STASH, MANAGEMENT_KEY).get("output")
    short = short_ssh_key(stored) if isinstance(stored, str) else None
    keys = {ssh_public_line(key): key for key in (short, used) if key is not None}
    return Committed(
        server=str((last.get("triggers") or [""])[0]),
        address=str(connection["host"]),
        doors=doors,
        ssh_ports=doors.ssh_ports if doors else (int(connection.get("port") or 22),),
        management_keys=doors.management_keys if doors else (brought or ssh_public_line(str(used)),),
        private_keys=keys,
        host_key=_host_key(records),
    )


def _records(previous: Previous, name: str) -> dict[str, Mapping[str, Any]]:
    """Return what the state has of each step that was done on the server that a node has now.

    Of a server that is made anew, the engine keeps the files of the former one in the state until the node
    has committed others. Keys that were not stored, although SSH reported success, were not sent.
    """
    records = {step: previous.part(COMMAND, name, step) for step in _LATEST_FIRST}
    answer = records[KEYS].get("stdout")
    if isinstance(answer, str) and not has_run(KEYS, answer):
        records[KEYS] = {}
    on, applied_on = (list(records[step].get("triggers") or [])[:1] for step in (KEYS, APPLY))
    if on and on != applied_on:
        records[APPLY] = {}
    return records


def _host_key(records: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the public host key that a node shows; None as long as that is the throw-away one.

    Steps of versions before this one had no host key among the other keys, unless it was a second one.
    """
    bundle = records[KEYS].get("stdin")
    brought = brought_host_key(bundle) if isinstance(bundle, str) else None
    if brought is not None:
        return ssh_public_line(brought)
    for step in (APPLY, KEYS, INSTALL):
        pinned = (records[step].get("connection") or {}).get("hostKey")
        if isinstance(pinned, str):
            return pinned
    first = records[BOOTSTRAP].get("stdin")
    if not isinstance(first, str):
        return None
    met_with = brought_host_key(first) if "{" in first else first  # versions before sent the bare key
    return None if met_with is None else ssh_public_line(met_with)


def ssh_limits(access: Mapping[str, Access]) -> dict[str, str]:
    """Return, for each node that limits where SSH may come from, the networks it has committed to let in."""
    found = {}
    for name, each in access.items():
        doors = each.committed.doors if each.committed else None
        if doors and not set(doors.ssh_sources) & _EVERYWHERE:
            found[name] = ", ".join(doors.ssh_sources)
    return found


def plan_access(
    plan: MeshPlan, previous: Previous, first_ports: Mapping[str, int] = _NO_PORTS
) -> dict[str, Access]:
    """Decide for every node how it is dialled and what stays open.

    `first_ports` has, by node, where sshd listens at first contact, if that is not the mesh's port. Where a
    node has two SSH ports open, `up` knocks to see which one answers; a preview does not.
    """
    known = {name: committed(previous, name) for name in plan.nodes}
    dialled = _dialled_ports(plan, known, first_ports)
    endpoints = {
        endpoint
        for name, node in plan.nodes.items()
        if node.enabled and (had := known[name]) is not None and had.doors is not None
        for endpoint in had.doors.endpoints
    }
    found = {
        name: _access(node, known[name], dialled[name], endpoints, _entry(previous, node))
        for name, node in plan.nodes.items()
    }
    return {name: replace(each, first_port=first_ports.get(name)) for name, each in found.items()}


def with_names(access: Mapping[str, Access], leads: Mapping[str, Sequence[_Address]]) -> dict[str, Access]:
    """Have the names of some nodes and clients lead elsewhere than to their planned addresses."""
    named = {name: tuple(addresses) for name, addresses in leads.items()}
    return {name: replace(each, moving=replace(each.moving, leads=named)) for name, each in access.items()}


def doors_of(access: Mapping[str, Access]) -> dict[str, Doors]:
    """Return what each node has committed, of those that have committed anything."""
    return {
        name: each.committed.doors for name, each in access.items() if each.committed and each.committed.doors
    }


def _entry(previous: Previous, node: NodePlan) -> Mapping[str, Any]:
    """Return what the run before had of a node in the directory; nothing of a node that is new."""
    kept = previous.record(STASH, DIRECTORY).get("output")
    entries = kept if isinstance(kept, Mapping) else {}
    found = (entries.get(called) for called in (node.name, *node.former))
    return next((each for each in found if isinstance(each, Mapping)), {})


def _access(
    node: NodePlan,
    had: Committed | None,
    dialled: int,
    endpoints: Collection[Endpoint],
    entry: Mapping[str, Any],
) -> Access:
    """Decide for one node; `endpoints` are those that any member of the mesh has committed.

    `entry` is what the directory had of the node.
    """
    wanted = node.overlay.port
    if had is None or had.doors is None:
        former = () if dialled == node.access.ssh_port else (dialled,)
        return Access(port=dialled, endpoint_port=wanted, moving=Moving(ssh_ports=former), committed=had)
    listens = wanted in had.doors.ports
    outside, inside = {had.address, *public_addresses(entry)}, private_addresses(entry)
    reached = {endpoint.port for endpoint in endpoints if str(endpoint.address) in {*outside, *inside}}
    used = tuple(port for port in had.doors.ports if port in reached)
    kept = used if listens else had.doors.ports[:1]
    return Access(
        port=dialled,
        endpoint_port=wanted if listens else had.doors.ports[0],
        moving=Moving(
            ssh_ports=() if dialled == node.access.ssh_port else (dialled,),
            ports=tuple(port for port in kept if port != wanted),
        ),
        committed=had,
        reached_outside=any(str(endpoint.address) in outside for endpoint in endpoints),
    )


def _dialled_ports(
    plan: MeshPlan, known: Mapping[str, Committed | None], first_ports: Mapping[str, int]
) -> dict[str, int]:
    choices = {
        name: had.ssh_ports if had else (first_ports.get(name, plan.nodes[name].access.ssh_port),)
        for name, had in known.items()
    }
    open_twice = [name for name, ports in choices.items() if len(ports) > 1]
    found = {name: ports[0] for name, ports in choices.items()}
    if open_twice and not pulumi.runtime.is_dry_run():
        with ThreadPoolExecutor(max_workers=_KNOCKS_AT_ONCE) as knocking:
            answered = knocking.map(lambda name: _first_that_answers(known[name]), open_twice)
            found |= {name: port for name, port in zip(open_twice, answered, strict=True) if port}
    return found


def _first_that_answers(had: Committed | None) -> int | None:
    return next((port for port in had.ssh_ports if answers(had.address, port)), None) if had else None


def answers(address: str, port: int) -> bool:
    """Whether an SSH server says its name there, within a few seconds."""
    try:
        with socket.create_connection((address, port), timeout=_KNOCK_SECONDS) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
