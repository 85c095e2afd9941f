"""The rotation of keys: the numbers of keys, the second port, and nodes that are revoked."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mesh.settings import fields
from mesh.settings.grants import PortRange, port_range
from mesh.settings.problems import REMOVED, Told, refuse
from mesh.settings.raw import Finding, listed, nodes, read

__all__ = ["check_rotation", "given_rotation", "next_port", "with_revoked"]

_LAST_PORT: Final = 65535
_DEFAULT_PORT: Final = 51820


def next_port(port: int) -> int:
    """Return the UDP port of the second interface, on which nodes meet while their keys are replaced.

    The neighbour of WireGuard's `port`: one rule of a firewall has both.
    """
    return port + 1 if port < _LAST_PORT else port - 1


def given_rotation(value: object) -> object:
    """Anything but an empty value, which would be read as "no rotation"."""
    if value is None:
        raise refuse("null is not a mapping of keys and values; write {} for the defaults", {})
    return value


def with_revoked(raw: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return the value of a mesh in which nodes that are revoked are not enabled, as for all other nodes.

    What a stack file writes at `enabled` stays.
    """
    given = raw.get("nodes")
    if not isinstance(given, Mapping) or not any(_is_revoked(node) for node in given.values()):
        return raw
    out = {name: {"enabled": False, **node} if _is_revoked(node) else node for name, node in given.items()}
    return {**raw, "nodes": out}


def _is_revoked(node: object) -> bool:
    return isinstance(node, Mapping) and node.get("revoked") is True


def check_rotation(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """Keys of nodes that need `rotation`, revoked nodes, and the second port."""
    rotates = "rotation" in raw
    for name, node in nodes(raw).items():
        generation = read(fields.generation, node.get("generation")) if isinstance(node, Mapping) else None
        if generation is not None and generation > 1 and not rotates:
            message = (
                f"{generation} gives the node another key, and this mesh has no rotation of keys; add "
                f"`rotation: {{}}` to the mesh"
            )
            yield ("nodes", name, "generation"), message
        if not _is_revoked(node):
            continue
        if not rotates:
            message = (
                "true needs the rotation of keys, because the node comes back only with another key; add "
                "`rotation: {}` to the mesh"
            )
            yield ("nodes", name, "revoked"), message
        if node.get("enabled") is True:
            message = "true contradicts `revoked: true`: a node that is revoked takes no part; remove enabled"
            yield ("nodes", name, "enabled"), Told(message, (REMOVED,))
    if rotates:
        yield from _ports(raw)


def _ports(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """The second port is no public port."""
    port = read(fields.port_number, raw.get("port", _DEFAULT_PORT))
    if port is None:
        return
    second = next_port(port)
    for name, node in nodes(raw).items():
        for index, value in enumerate(listed(node, "public")):
            public = read(port_range, value)
            if public is not None and public.overlaps(PortRange(protocol="udp", first=second, last=second)):
                message = (
                    f"{public} includes {second}, WireGuard's second port, on which the nodes meet while "
                    f"their keys are replaced (mesh.port {port} and `rotation`); open another port here, or "
                    f"take another mesh.port"
                )
                yield ("nodes", name, "public", index), message
