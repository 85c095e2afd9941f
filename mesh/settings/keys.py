"""Keys that the stack file does not have: the one that was meant, or how what was wanted is done here."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from mesh.settings.meant import plain
from mesh.settings.problems import REMOVED, Told, another_key, nearest, nearest_of, show

__all__ = ["meant_key", "unknown_key"]

_NOWHERE: Final[Mapping[str, str]] = MappingProxyType({})

_MEMBERS: Final = "write each server under nodes, and each person's device under clients"
_STATIC: Final = "this key is for a server that is there already; such a node also has `provider: static`"
_DEVICES: Final = "people's devices are listed under `clients` of the mesh (docs/clients.md)"
_KEYS: Final = "`up` makes the keys and keeps them in the stack's state; never write a key here"
_ONE_USER: Final = "everything on a node is done as root"
_NO_USER_DATA: Final = "a server gets no user data from the stack file; set up your software after `up`"
_ALL_PEERS: Final = "links says which nodes have a tunnel to each other; without links, all nodes have"
_NO_DENY: Final = "there are no deny rules: a policy denies all traffic that no rule allows"
_NO_DNS: Final = "the names of all nodes are written into every node's /etc/hosts; there is no DNS server"
_NO_ROUTES: Final = "the key `routes` of a node has the networks behind the node"

# What people coming from WireGuard, Tailscale, Terraform or Ansible write, by what it stands for there.
_ELSEWHERE: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("peer", "peers", "hosts", "provider"),
        _MEMBERS,
    ),
    **dict.fromkeys(("host", "hostipv6", "hostkey", "sshport", "firstkey", "forget"), _STATIC),
    **dict.fromkeys(("laptop", "laptops", "devices", "roadwarrior"), _DEVICES),
    **dict.fromkeys(("publickey", "privatekey", "presharedkey", "psk", "identity", "key"), _KEYS),
    **dict.fromkeys(("user", "users", "username", "sudo"), _ONE_USER),
    **dict.fromkeys(("userdata", "cloudinit", "runcmd", "packages"), _NO_USER_DATA),
    **dict.fromkeys(("topology", "hub", "mesh"), _ALL_PEERS),
    **dict.fromkeys(("deny", "drop", "reject"), _NO_DENY),
    **dict.fromkeys(("dns", "domain", "nameserver", "nameservers"), _NO_DNS),
    **dict.fromkeys(("routes", "route", "allowedips", "subnets", "advertise"), _NO_ROUTES),
}
_SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "address": ("ip", "addr", "ipaddress", "privateip", "overlay"),
    "location": ("region", "datacenter", "zone", "dc", "place"),
    "type": ("size", "servertype", "flavor", "plan", "instancetype"),
    "image": ("os", "template", "distribution"),
    "public": ("ports", "open", "publicports", "firewall", "expose"),
    "groups": ("tags", "tag", "labels", "role", "roles"),
    "cidr": ("network", "subnet", "range", "networkcidr"),
    "port": ("listenport", "wireguardport", "ports", "protocol", "proto"),
    "enabled": ("disabled", "active", "state"),
    "policy": ("rules", "acl", "acls", "policies"),
    "policyTests": ("tests",),
    "keepalive": ("persistentkeepalive",),
    "relay": ("via", "jump"),
    "egress": ("nat", "exit", "exitnode", "gateway"),
    "links": ("edges", "tunnels", "connections"),
    "from": ("sources", "allowfrom", "source"),
    "to": ("destination", "target"),
    "authorizedKeys": ("keys", "sshkeys", "publickeys"),
}


def unknown_key(
    key: object, known: Iterable[str], *, beside: Collection[str] = (), homes: Mapping[str, str] = _NOWHERE
) -> Told:
    """Return what to say of a key that is not `known` at its place.

    `beside` are the keys that stand there, too; `homes` says where in the file each key belongs.
    """
    words = list(known)
    near = meant_key(key, words)
    if near is not None and str(key) in homes and not near.startswith(str(key)):
        near = _alike(key, words)  # it has a place of its own: it is no other key that is spelled nearly so
    tight = str(key).partition(":")
    if near is not None and near == tight[0]:
        return Told(f"is not a known key; write a space after the colon: `{near}: {_cut(tight[2])}`")
    if near is not None:
        there = f" {near} is there already: remove one of the two" if near in beside else ""
        return Told(f"is not a known key; did you mean {near}?{there}", () if there else another_key(near))
    reduced = _reduced(key)
    # `user` of a static node is for its first contact alone, and `publicKey` is a client's
    if str(key) in homes and _ELSEWHERE.get(reduced) not in {_ONE_USER, _KEYS}:
        return Told(f"is not a known key here; write it under {homes[str(key)]}")
    if reduced in _ELSEWHERE:
        return Told(f"is not a known key: {_ELSEWHERE[reduced]}; remove this key", (REMOVED,))
    return Told(f"is not a known key; {nearest(key, words)}")


def meant_key(key: object, known: Collection[str]) -> str | None:
    """Return the known key that is meant by one that is not known; None where none is near."""
    alike = _alike(key, known)
    if alike is not None or _reduced(key) in _ELSEWHERE:
        return alike
    return nearest_of(plain(str(key)), known)


def _alike(key: object, known: Collection[str]) -> str | None:
    """Return the known key that is the same but for its spelling, or stands for the same."""
    reduced = _reduced(key)
    if str(key).partition(":")[0] in known:
        return str(key).partition(":")[0]
    alike = next((word for word in known if reduced == _reduced(word)), None)
    return alike or next((word for word in known if reduced in _SYNONYMS.get(word, ())), None)


def _cut(text: str) -> str:
    shown = show(text)
    return text if shown == repr(text) else shown


def _reduced(key: object) -> str:
    return str(key).lower().replace("_", "").replace("-", "")
