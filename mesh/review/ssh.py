"""How SSH access changes: from where, on which ports, with which keys; one line for each kind of change."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from mesh.names import HOST_KEY, STASH
from mesh.render import UNKNOWN_TEXT, read_doors
from mesh.review.blocks import data
from mesh.review.elements import NotUnderstoodError
from mesh.review.nodes import Files, NodeChange
from mesh.review.outside import ssh_networks
from mesh.review.reach import shown
from mesh.review.rules import Packet

__all__ = ["compare_ssh"]

_AUTHORIZED: Final = "/root/.ssh/authorized_keys"
_OWN: Final = " wireguard-mesh"
_INTERFACE: Final = "eth0"
_Network = IPv4Network | IPv6Network


def compare_ssh(nodes: Mapping[str, NodeChange]) -> list[tuple[str, list[str]]]:
    """Return what changes in words, and on which nodes; equal changes once."""
    said: dict[str, list[str]] = {}
    for node in nodes.values():
        for words in _changes(node):
            said.setdefault(words, []).append(shown(node.mesh, node.name))
    return list(said.items())


def _changes(node: NodeChange) -> Iterator[str]:
    host_key = node.step(STASH, HOST_KEY)
    if host_key is not None and host_key.op == "replace":
        yield "gets another SSH host key"
    if node.after is None:
        return
    try:
        yield from _ports(node.before, node.after)
        yield from _networks(node.before, node.after)
    except NotUnderstoodError:
        yield "SSH's sources cannot be told: the firewall has rules that this version does not know"
    yield from _keys(node.before, node.after)


def _ports(before: Files | None, after: Files) -> Iterator[str]:
    had, has = _ssh_ports(before), _ssh_ports(after)
    if had and had != has:
        yield f"SSH is let in on {_listed(has)} instead of {_listed(had)}"


def _listed(ports: tuple[int, ...]) -> str:
    return " and ".join(f"tcp/{port}" for port in ports)


def _ssh_ports(files: Files | None) -> tuple[int, ...]:
    return read_doors("\n".join(files.content.values())).ssh_ports if files else ()


def _networks(before: Files | None, after: Files) -> Iterator[str]:
    """Ask the firewall for each network that either side names."""
    asked = sorted({*ssh_networks(before), *ssh_networks(after)}, key=lambda net: (net.version, net))
    had = [network for network in asked if before is not None and _lets_in(before, network, asked)]
    has = [network for network in asked if _lets_in(after, network, asked)]
    more = [_words(network) for network in has if network not in had]
    less = [_words(network) for network in had if network not in has]
    if more:
        yield f"SSH is open to {', '.join(more)}"
    if less:
        yield f"SSH is no longer open to {', '.join(less)}"


def _words(network: _Network) -> str:
    if network.prefixlen == 0:
        return f"the whole internet ({network})"
    return str(network[0]) if network.num_addresses == 1 else str(network)


def _lets_in(files: Files, network: _Network, asked: list[_Network]) -> bool:
    sender = _one_of(network, asked)
    packet = Packet(interface=_INTERFACE, source=sender, target=None, listed=False)
    traffic = files.firewall.let_in(packet)
    return any(traffic.lets("tcp", port) for port in _ssh_ports(files))


def _one_of(network: _Network, asked: list[_Network]) -> IPv4Address | IPv6Address:
    """Return an address of a network that is in no smaller one of the others, if there is such an address."""
    smaller = [
        each for each in asked if each.version == network.version and each.prefixlen > network.prefixlen
    ]
    ends = [each[-1] + 1 for each in smaller if int(each[-1]) < int(network[-1])]
    for address in (network[0], *ends, network[-1]):
        if address in network and not any(address in each for each in smaller):
            return address
    return network[0]


def _keys(before: Files | None, after: Files) -> Iterator[str]:
    had, has = _authorized(before), _authorized(after)
    if not had:
        return
    for line in sorted(has - had):
        yield f"{_key(line)} can log in"
    for line in sorted(had - has):
        yield f"{_key(line)} can no longer log in"


def _authorized(files: Files | None) -> set[str]:
    return set(files.content.get(_AUTHORIZED, "").splitlines()) if files else set()


def _key(line: str) -> str:
    """Return the kind of a key, its fingerprint as `ssh-keygen -l` prints it, and its comment."""
    if line.endswith(_OWN):
        return "the management key of the mesh" + (
            " (a new one, known after up)" if UNKNOWN_TEXT in line else ""
        )
    kind, _, rest = line.partition(" ")
    blob, _, comment = rest.partition(" ")
    try:
        digest = hashlib.sha256(base64.b64decode(blob, validate=True)).digest()
    except ValueError:
        return f"the key {data(line)}"
    fingerprint = base64.b64encode(digest).decode().rstrip("=")
    return f"the key {data(f'{kind} SHA256:{fingerprint} {comment}'.rstrip())}"
