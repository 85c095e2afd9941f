"""Keys that the stack file does not have: the one that was meant, or how what was wanted is done here."""

from collections.abc import Iterable, Mapping
from typing import Final

from mesh.settings.problems import nearest

__all__ = ["unknown_key"]

_MEMBERS: Final = "only servers that this stack creates can be members, for now"
_KEYS: Final = "`up` makes the keys and keeps them in the stack's state; never write a key here"
_ONE_USER: Final = "everything on a node is done as root"
_NO_USER_DATA: Final = "a server gets no user data from the stack file; set up your software after `up`"
_ALL_PEERS: Final = "every node is a peer of every other node; policy says which nodes may reach each other"
_NO_DENY: Final = "there are no deny rules: a policy denies all traffic that no rule allows"
_NO_DNS: Final = "the names of all nodes are written into every node's /etc/hosts; there is no DNS server"
_NO_ROUTES: Final = "a node has one address in the mesh; networks behind the node are not routed, for now"

# What people coming from WireGuard, Tailscale, Terraform or Ansible write, by what it stands for there.
_ELSEWHERE: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("client", "clients", "peer", "peers", "host", "hosts", "hostkey", "provider", "endpoint", "laptop"),
        _MEMBERS,
    ),
    **dict.fromkeys(("publickey", "privatekey", "presharedkey", "psk", "identity", "key"), _KEYS),
    **dict.fromkeys(("user", "users", "username", "sudo"), _ONE_USER),
    **dict.fromkeys(("userdata", "cloudinit", "runcmd", "packages"), _NO_USER_DATA),
    **dict.fromkeys(("topology", "hub", "mesh"), _ALL_PEERS),
    **dict.fromkeys(("deny", "drop", "reject"), _NO_DENY),
    **dict.fromkeys(("dns", "domain", "nameserver", "nameservers"), _NO_DNS),
    **dict.fromkeys(("routes", "route", "allowedips", "subnets", "advertise"), _NO_ROUTES),
    **dict.fromkeys(("keepalive", "persistentkeepalive"), "between all nodes it is 25 seconds"),
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
    "from": ("sources", "allowfrom", "source"),
    "to": ("destination", "target"),
    "authorizedKeys": ("keys", "sshkeys", "publickeys"),
}


def unknown_key(key: object, known: Iterable[str]) -> str:
    """Return what to say of a key that is not `known` at its place."""
    words = list(known)
    plain = str(key).lower().replace("_", "").replace("-", "")
    for word in words:
        if plain in _SYNONYMS.get(word, ()):
            return f"is not a known key; did you mean {word}?"
    if plain in _ELSEWHERE:
        return f"is not a known key: {_ELSEWHERE[plain]}"
    return f"is not a known key; {nearest(key, words)}"
