"""The outputs of a mesh as one record: the program writes it, the commands of day two read it.

A stack may have been written by another version. What is not known is left out, and what is missing has a
default; where there can be none, the error names the version that wrote the stack, and says what to do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Any, Final, TypeVar

from mesh.names import FIRST_MESH, VERSION, MeshNames

__all__ = [
    "CalledOutputs",
    "ClientOutputs",
    "MeshOutputs",
    "NodeOutputs",
    "OutputsError",
    "called_record",
    "client_record",
    "egress_record",
    "limited_record",
    "mesh_record",
    "node_record",
    "parse_outputs",
    "program_record",
    "routed_record",
]

T = TypeVar("T")

_CALLED_TEXTS: Final = ("name", "public_key", "preshared_key", "endpoint", "allowed_ips")
FORMAT: Final = 1
"""Of the record; a new one where a reader of the former would take something for what it is not."""

# What the engine keeps for an output whose resource failed (plugin.UnknownStringValue in Pulumi's SDK).
_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_MOST_PORTS: Final = 65535
_NO_CLIENTS: Final[Mapping[str, Any]] = MappingProxyType({})


class OutputsError(Exception):
    """The outputs cannot be read; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class NodeOutputs:
    """One node: overlay address, public IP address, WireGuard public key, SSH host key, SSH port.

    A node that is not `enabled` is there, but nobody's peer. `reaches` are the nodes that it has a path to;
    None: all others. `address6` is None in a mesh without IPv6.
    """

    name: str
    address: str
    public_ip: str
    public_key: str
    host_key: str
    enabled: bool
    ssh_port: int
    reaches: frozenset[str] | None = None
    address6: str | None = None

    def has_path_to(self, name: str) -> bool:
        """Whether the node has a path to another one: a tunnel, or a relay."""
        return name != self.name and (self.reaches is None or name in self.reaches)


@dataclass(frozen=True, kw_only=True)
class CalledOutputs:
    """A node as a client calls it; keys are base64, `keepalive` is in seconds.

    `allowed_ips` are networks as `wg0.conf` has them.
    """

    name: str
    public_key: str
    preshared_key: str = field(repr=False)
    endpoint: str
    allowed_ips: str
    keepalive: int


@dataclass(frozen=True, kw_only=True)
class ClientOutputs:
    """One client: its addresses inside the mesh, MTU in bytes, keys in base64, and the nodes that it calls.

    `private_key` is None for a key that was made on the device.
    """

    name: str
    address: str
    enabled: bool
    mtu: int
    public_key: str
    private_key: str | None = field(repr=False)
    peers: Sequence[CalledOutputs]


@dataclass(frozen=True, kw_only=True)
class MeshOutputs:
    """The nodes there are, by overlay address, and the SSH private key (OpenSSH format) that opens them.

    `unmade` are those whose address or keys could not be made, and whether each is enabled. `mesh` is the
    mesh's name.
    `clients` are people's devices by name; None for one whose keys could not be made.
    """

    nodes: Mapping[str, NodeOutputs]
    unmade: Mapping[str, bool]
    ssh_private_key: str
    mesh: str = FIRST_MESH
    clients: Mapping[str, ClientOutputs | None] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """The nodes that take part and are not made."""
        return [name for name, enabled in self.unmade.items() if enabled]


def node_record(
    *,
    address: T,
    enabled: T,
    ssh_port: T,
    public_ip: T,
    public_key: T,
    host_key: T,
    address6: T | None = None,
) -> dict[str, T]:
    """Return a node's entry as it is written; each value may be an output of Pulumi's."""
    return {
        "address": address,
        **({} if address6 is None else {"address6": address6}),
        "enabled": enabled,
        "ssh_port": ssh_port,
        "public_ip": public_ip,
        "public_key": public_key,
        "host_key": host_key,
    }


def limited_record(record: dict[str, T], *, reaches: T) -> dict[str, T]:
    """Return the entry of a node that does not reach all others: with the names that it reaches."""
    return {**record, "reaches": reaches}


def routed_record(record: dict[str, T], *, routes: T) -> dict[str, T]:
    """Return the entry of a node that has networks behind it: with these networks."""
    return {**record, "routes": routes}


def egress_record(record: dict[str, T], *, egress: T) -> dict[str, T]:
    """Return the entry of a node that reaches the IPv4 internet over another one: with its name."""
    return {**record, "egress": egress}


def called_record(
    *, name: T, public_key: T, preshared_key: T, endpoint: T, allowed_ips: T, keepalive: T
) -> dict[str, T]:
    """Return a node in a client's entry as it is written; each value may be an output of Pulumi's."""
    return {
        "name": name,
        "public_key": public_key,
        "preshared_key": preshared_key,
        "endpoint": endpoint,
        "allowed_ips": allowed_ips,
        "keepalive": keepalive,
    }


def client_record(
    *, address: T, enabled: T, mtu: T, public_key: T, private_key: T | None, peers: Sequence[Any]
) -> dict[str, Any]:
    """Return a client's entry as it is written; each value may be an output of Pulumi's."""
    return {
        "address": address,
        "enabled": enabled,
        "mtu": mtu,
        "public_key": public_key,
        **({} if private_key is None else {"private_key": private_key}),
        "peers": peers,
    }


def program_record() -> dict[str, str | int]:
    """Return what is written of the program itself: the record's format and the version that writes it."""
    return {"format": FORMAT, "version": VERSION}


def mesh_record(
    *, mesh: str, nodes: T, ssh_private_key: T, clients: Mapping[str, Any] = _NO_CLIENTS
) -> dict[str, Any]:
    """Return the outputs of one mesh as they are written."""
    return {
        "mesh": mesh,
        "nodes": nodes,
        **({"clients": dict(clients)} if clients else {}),
        "ssh_private_key": ssh_private_key,
        "wireguard_mesh": program_record(),
    }


def parse_outputs(outputs: Mapping[str, Any]) -> dict[str, MeshOutputs]:
    """Read the outputs of a stack: its meshes by name.

    The record of a mesh is the stack's outputs themselves, or one of them. Raises `OutputsError`.
    """
    found: dict[str, MeshOutputs] = {}
    for record in _records(outputs):
        mesh = _parse(record)
        if found.get(mesh.mesh, mesh) != mesh:
            raise OutputsError(f"two outputs of the stack hold the mesh {mesh.mesh}: export each mesh once")
        found[mesh.mesh] = mesh
    if not outputs:
        raise OutputsError("the stack has no mesh yet: bring it up first (`up`)")
    if not found:
        raise OutputsError(
            "no output of the stack is a mesh: bring the mesh up (`up`); if it is up, "
            "have the program export the mesh's `outputs` (docs/embedding.md)"
        )
    return found


def _records(outputs: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for record in (outputs, *outputs.values()):
        if (
            isinstance(record, Mapping)
            and isinstance(record.get("nodes"), Mapping)
            and isinstance(record.get("ssh_private_key"), str)
        ):
            yield record


def _parse(record: Mapping[str, Any]) -> MeshOutputs:
    # The stack's outputs may have an output of this name, which is a record itself and holds a key.
    given = record.get("mesh")
    mesh = given if isinstance(given, str) else FIRST_MESH
    try:
        MeshNames(mesh)
    except ValueError as error:
        raise OutputsError(f"the output `mesh` of the stack: {error}") from None
    entries = {str(name): _Entry(record, str(name), facts) for name, facts in record["nodes"].items()}
    by_address = dict(sorted(entries.items(), key=lambda item: item[1].address))
    return MeshOutputs(
        mesh=mesh,
        nodes={name: entry.read() for name, entry in by_address.items() if entry.is_made},
        unmade={name: entry.enabled for name, entry in by_address.items() if not entry.is_made},
        ssh_private_key=record["ssh_private_key"],
        clients=dict(_clients(record)),
    )


def _clients(record: Mapping[str, Any]) -> Iterator[tuple[str, ClientOutputs | None]]:
    found = record.get("clients")
    for name, given in found.items() if isinstance(found, Mapping) else ():
        try:
            yield str(name), _client(str(name), given)
        except (KeyError, TypeError, ValueError):
            raise _unreadable(record, str(name), "is not a client as this version writes one") from None


def _client(name: str, given: Mapping[str, Any]) -> ClientOutputs | None:
    peers = [
        CalledOutputs(**{key: str(each[key]) for key in _CALLED_TEXTS}, keepalive=int(each["keepalive"]))
        for each in given["peers"]
    ]
    private = given.get("private_key")
    keys = [given["public_key"], private, *(value for each in given["peers"] for value in each.values())]
    if _UNKNOWN in keys or given["public_key"] is None:
        return None
    return ClientOutputs(
        name=name,
        address=str(given["address"]),
        enabled=given["enabled"] is not False,
        mtu=int(given["mtu"]),
        public_key=str(given["public_key"]),
        private_key=None if private is None else str(private),
        peers=peers,
    )


class _Entry:
    """The entry of one node in a record."""

    def __init__(self, record: Mapping[str, Any], name: str, facts: Any) -> None:
        self._record = record
        self._name = name
        if not isinstance(facts, Mapping):
            raise self._refused("is no mapping")
        self._facts = facts

    @property
    def address(self) -> IPv4Address:
        """The overlay address. Raises `OutputsError`."""
        given = self._facts.get("address")
        try:
            return IPv4Address(given if isinstance(given, str) else "")
        except ValueError:
            raise self._refused("has no IPv4 address in the mesh") from None

    @property
    def address6(self) -> str | None:
        """The IPv6 overlay address; None where the mesh has none. Raises `OutputsError`."""
        given = self._facts.get("address6")
        try:
            return None if given is None else str(IPv6Address(given if isinstance(given, str) else ""))
        except ValueError:
            raise self._refused("has an address6 that is no IPv6 address") from None

    @property
    def enabled(self) -> bool:
        """Whether it takes part: all nodes did before there was a choice."""
        return self._facts.get("enabled") is not False

    @property
    def is_made(self) -> bool:
        """Whether its address and keys are there."""
        known = (self._facts.get(name) for name in ("public_ip", "public_key", "host_key"))
        return all(value not in (None, "", _UNKNOWN) for value in known)

    def read(self) -> NodeOutputs:
        """Return the whole entry. Raises `OutputsError`."""
        return NodeOutputs(
            name=self._name,
            address=str(self.address),
            address6=self.address6,
            public_ip=self._text("public_ip"),
            public_key=self._text("public_key"),
            host_key=self._text("host_key"),
            enabled=self.enabled,
            ssh_port=self._port(),
            reaches=self._reaches(),
        )

    def _reaches(self) -> frozenset[str] | None:
        """The names it has a path to: all others where there is no list, as before there was a choice."""
        given = self._facts.get("reaches")
        if given is None:
            return None
        if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
            raise self._refused("has a list `reaches` that is no list of names")
        return frozenset(given)

    def _text(self, key: str) -> str:
        value = self._facts.get(key)
        if not isinstance(value, str):
            raise self._refused(f"has a {key} that is not text")
        return value

    def _port(self) -> int:
        value = self._facts.get("ssh_port", 22)
        # the engine's numbers may be floats
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MOST_PORTS:
            raise self._refused("has an ssh_port that is not a port")
        return int(value)

    def _refused(self, what: str) -> OutputsError:
        return _unreadable(self._record, self._name, what)


def _unreadable(record: Mapping[str, Any], name: str, what: str) -> OutputsError:
    return OutputsError(
        f"the stack's outputs were written by {_writer(record)} and cannot be read by version {VERSION}: the "
        f"entry of {name} {what}; run `up` with this version, or use the commands of the other version"
    )


def _writer(record: Mapping[str, Any]) -> str:
    """Name the version that wrote a record; before there were version numbers, none."""
    program = record.get("wireguard_mesh")
    version = program.get("version") if isinstance(program, Mapping) else None
    return f"version {version}" if isinstance(version, str) else "an older version"
