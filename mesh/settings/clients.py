"""Clients, people's devices: their keys, and what their names and tunnels must be to nodes and policy."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mesh.settings.groups import EVERY_NODE, members_by_name
from mesh.settings.names import host_name
from mesh.settings.problems import REMOVED, Told, another_value, nearest, nearest_of, refuse, show
from mesh.settings.raw import Finding, clients, listed, nodes, read
from mesh.settings.values import text

__all__ = ["check_client_policy", "check_clients", "nodes_of", "public_key"]

_KEY_BYTES: Final = 32  # Curve25519, whitepaper 5.4
_NO_KEY: Final = (
    "is not a WireGuard public key (not shown here); write what `wg pubkey` prints: 44 characters, the last "
    "one is ="
)
# The points of small order, with which every private key gives the same secret (RFC 7748, 6.1, and
# libsodium's ref10/x25519_ref10.c, has_small_order); the highest bit does not count.
_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(point)
    for point in (
        "00" * 32,
        "01" + "00" * 31,
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)


def public_key(value: object) -> str:
    """A WireGuard public key, base64 of 32 bytes. No refusal shows the value: it may be a private key."""
    if not isinstance(value, str):
        return text(value, "a WireGuard public key", public_key)
    given = value.strip()
    try:
        raw = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _KEY_BYTES or base64.b64encode(raw).decode() != given:
        raise refuse(_NO_KEY)
    if raw[:-1] + bytes([raw[-1] & 127]) in _SMALL_ORDER:
        raise refuse("is no device's key: with this value anybody could read the tunnel; make a new key pair")
    return given


def nodes_of(to: list[Any], members: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the nodes that a client has a tunnel to; `members` has the nodes behind each name."""
    return frozenset().union(*(members.get(name, ()) for name in to if isinstance(name, str)))


def check_clients(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """A client has a name and groups that mean nothing else, a key of its own, and tunnels to nodes."""
    everyone, members = nodes(raw), _nodes_by_name(raw)
    keys: dict[str, str] = {}
    for name, client in clients(raw).items():
        path = ("clients", name)
        if name in everyone:
            yield path, "is the name of a node, too; give the client another name"
        elif name == EVERY_NODE:
            yield path, "means every node in a policy; take another name"
        key = read(public_key, client.get("publicKey") if isinstance(client, Mapping) else None)
        if key is not None and keys.setdefault(key, name) != name:
            yield (*path, "publicKey"), f"is also the key of {keys[key]}; every client has a key of its own"
        yield from _groups(name, listed(client, "groups"), raw)
        yield from _to(name, listed(client, "to"), raw, members)
    for name, node in everyone.items():
        for index, group in enumerate(listed(node, "groups")):
            if isinstance(group, str) and group in clients(raw) and group not in everyone:
                message = f"{group} is the name of a client; give the group another name"
                yield ("nodes", name, "groups", index), message


def _groups(name: str, groups: list[Any], raw: Mapping[Any, Any]) -> Iterator[Finding]:
    for index, group in enumerate(groups):
        path = ("clients", name, "groups", index)
        if group == EVERY_NODE:
            yield path, f"{group} means every node in a policy; take another name"
        elif isinstance(group, str) and (group in nodes(raw) or group in clients(raw)):
            what = "node" if group in nodes(raw) else "client"
            yield path, f"{group} is the name of a {what}; give the group another name"
        elif group in groups[:index]:
            yield path, Told(f"{show(group)} is named twice; remove one", (REMOVED,))


def _to(
    name: str, to: list[Any], raw: Mapping[Any, Any], members: Mapping[str, frozenset[str]]
) -> Iterator[Finding]:
    others = {group for client in clients(raw).values() for group in _readable(client)}
    for index, given in enumerate(to):
        path = ("clients", name, "to", index)
        if read(host_name, given) is None:
            continue
        if given in to[:index]:
            yield path, Told(f"{given} is named twice; remove one", (REMOVED,))
        elif given not in members and (given in clients(raw) or given in others):
            what = "a client" if given in clients(raw) else "a group of clients alone"
            yield path, f"{given} is {what}, and clients have tunnels to nodes only; name a node"
        elif silent := sorted(node for node in members.get(given, ()) if _never_called(nodes(raw).get(node))):
            message = f"no device can call {silent[0]}, which has endpoint: none; name another node"
            yield path, message
        elif given not in members:
            near = nearest_of(given, members)
            yield (
                path,
                Told(
                    f"{given} is neither a group nor a node; {nearest(given, members)}",
                    another_value(near) if near and near not in to else (),
                ),
            )


def _never_called(node: object) -> bool:
    return isinstance(node, Mapping) and node.get("endpoint") == "none"


def _nodes_by_name(raw: Mapping[Any, Any]) -> dict[str, frozenset[str]]:
    """Return the nodes behind each name, as far as groups can be read."""
    return members_by_name({name: _readable(node) for name, node in nodes(raw).items()})


def _readable(owner: object) -> list[str]:
    return [group for group in listed(owner, "groups") if read(host_name, group) is not None]


def check_client_policy(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """The policy holds on nodes: a rule lets clients in to nodes, and no rule lets anybody in to a client."""
    devices = {name: _readable(client) for name, client in clients(raw).items()}
    if not devices:
        return
    targets = _nodes_by_name(raw)
    sources = members_by_name({name: _readable(node) for name, node in nodes(raw).items()}, clients=devices)
    for index, rule in enumerate(listed(raw, "policy")):
        for place, name in enumerate(listed(rule, "to")):
            if isinstance(name, str) and name in sources and name not in targets:
                yield ("policy", index, "to", place), Told(_no_target(name, devices), ())
        yield from _without_tunnel(index, rule, raw, sources, targets)
    for index, test in enumerate(listed(raw, "policyTests")):
        name = test.get("to") if isinstance(test, Mapping) else None
        if isinstance(name, str) and name in sources and name not in targets:
            yield ("policyTests", index, "to"), _no_target(name, devices)


def _no_target(name: str, devices: Mapping[str, Any]) -> str:
    what = "a client" if name in devices else "a group of clients alone"
    return (
        f"{name} is {what}: the device itself decides what it lets in, and no rule of a node does; name a "
        f"node or a group of nodes"
    )


def _without_tunnel(
    index: int,
    rule: object,
    raw: Mapping[Any, Any],
    sources: Mapping[str, frozenset[str]],
    targets: Mapping[str, frozenset[str]],
) -> Iterator[Finding]:
    """A rule from clients alone to nodes that none of them has a tunnel to."""
    given = {key: [name for name in listed(rule, key) if isinstance(name, str)] for key in ("from", "to")}
    if not all(given.values()) or not all(name in sources for name in given["from"]):
        return
    if not all(name in targets for name in given["to"]):
        return
    devices = clients(raw)
    senders = frozenset().union(*(sources[name] for name in given["from"]))
    wanted = nodes_of(given["to"], targets)
    if not senders or not senders <= set(devices):
        return
    to = [name for sender in sorted(senders) for name in listed(devices[sender], "to")]
    known = [name for name in to if isinstance(name, str) and name in targets]
    if len(known) == len(to) and not nodes_of(known, targets) & wanted:
        first = min(senders)
        message = (
            f"matches nothing: {first} has no tunnel to {given['to'][0]}; add {given['to'][0]} to "
            f"clients.{first}.to, or remove the rule"
        )
        yield ("policy", index), Told(message, (REMOVED,))
