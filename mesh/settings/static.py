"""A node on a server that is there already: the keys of the provider `static`, and what they must be."""

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from mesh.leaks import has_secret
from mesh.settings import fields
from mesh.settings.addresses import mesh_network, read_ip
from mesh.settings.addresses6 import mesh_network6
from mesh.settings.base import Model
from mesh.settings.keytypes import Port, Switch
from mesh.settings.problems import Problem, refuse, show
from mesh.settings.raw import Finding, nodes, read
from mesh.settings.values import text

__all__ = [
    "StaticDefaults",
    "StaticMachine",
    "check_static",
    "config_key",
    "host_address",
    "login",
    "public_host_key",
    "second_address",
]

_LOGIN: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")  # useradd(8)
_CONFIG_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_HOST_KEYS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
_CALLED: Final = {"hostIpv6": "address"}
_SCAN: Final = "`python -m mesh scan-host-key {host}` prints the line"


def host_address(value: object) -> str:
    """The public IP address of a server, in its shortest form."""
    given = text(value, "an IP address such as 203.0.113.7", host_address).strip()
    found = read_ip(given)
    if found is None:
        raise refuse(
            f"{show(given)} is not an IP address; the files of all nodes name the address, so a host name is "
            f"not enough: write the address (`getent ahosts NAME` shows the addresses of a name)"
        )
    if _never_reached(found):
        raise refuse(f"{given} is no address that other nodes can reach; write the server's public address")
    if str(found) != given:
        raise refuse(f"{show(given)} is not in its shortest form; write {found}", str(found))
    return given


def second_address(value: object) -> str:
    """The public IPv6 address of a server, in its shortest form."""
    given = host_address(text(value, "an IPv6 address such as 2001:db8::7", second_address))
    if ":" not in given:
        raise refuse(f"{given} is an IPv4 address; write it at `host`, and the IPv6 address here")
    return given


def _never_reached(address: IPv4Address | IPv6Address) -> bool:
    return (
        address.is_loopback
        or address.is_unspecified
        or address.is_multicast
        or address.is_link_local
        or (address.version == 4 and (address.is_reserved or int(address) >> 24 == 0))
    )


def login(value: object) -> str:
    """The name of a user on the server."""
    given = text(value, "the name of a user such as root or debian", login)
    if not _LOGIN.fullmatch(given) or has_secret(given):
        raise refuse(f"{show(given)} is not the name of a user such as root or debian")
    return given


def public_host_key(value: object) -> str:
    """One public SSH host key: its type and the key, without a comment."""
    given = text(value, "a public SSH host key such as `ssh-ed25519 AAAA...`", public_host_key).strip()
    fields.refuse_private_key(given, "write the public host key of the server")
    words = given.split()
    known = next((place for place, word in enumerate(words) if word in _HOST_KEYS), None)
    if known is None or len(words) < known + 2 or not given.isprintable():
        raise refuse(
            f"{show(given)} is not a public SSH host key; write one line of type {', '.join(_HOST_KEYS)}: "
            f"{_SCAN.format(host='HOST')}"
        )
    line = " ".join(words[known : known + 2])
    fields.authorized_key(line)
    if known:  # as ssh-keyscan and known_hosts have it, with the host's name before it
        raise refuse(f"{show(given)} begins with a host name; write the line from {words[known]} on", line)
    return line


def config_key(value: object) -> str:
    """The name of a secret in the stack's configuration."""
    given = text(value, "the name of a secret in the stack's configuration, such as firstKey", config_key)
    if has_secret(given) or "\n" in given:
        raise refuse(
            "this is a key (not shown here): keep private keys out of a stack file as plain text; run "
            "`pulumi config set --secret firstKey < FILE`, and write firstKey here"
        )
    if not _CONFIG_KEY.fullmatch(given):
        raise refuse(
            f"{show(given)} is not the name of a secret in the stack's configuration, such as firstKey"
        )
    return given


class StaticDefaults(Model):
    """How servers that are there already are met: what several nodes may have in common."""

    user: Annotated[str, BeforeValidator(login), Field(title="name of a user", examples=["debian"])] = "root"
    """With `provider: static`, the user that logs in at first contact.

    Root, or a user with `sudo` without a password.

    Changed later: nothing; after first contact the mesh logs in as root with its own key.
    """

    ssh_port: Annotated[
        Port | None, Field(alias="sshPort", title="number from 1 to 65535", examples=["2222"])
    ] = None
    """With `provider: static`, the port of sshd at first contact, if it differs from `ssh.port`.

    The mesh then moves sshd to `ssh.port` [in steps](#what-moves-in-steps).

    Changed later: nothing.
    """

    first_key: Annotated[
        str | None,
        BeforeValidator(config_key),
        Field(alias="firstKey", title="name of a secret in the configuration", examples=["firstKey"]),
    ] = None
    """With `provider: static`, the secret of the configuration with the private SSH key for first contact.

    `pulumi config set --secret firstKey < ~/.ssh/id_ed25519` stores a key. Without `firstKey`, first contact
    uses your SSH agent (`SSH_AUTH_SOCK`).

    Changed later: nothing; after first contact the mesh logs in with its own key.

    Refused by the preview: a secret that is not in the configuration, or is there as plain text.
    """


class StaticMachine(StaticDefaults):
    """A server that is there already, and stays when its node goes."""

    host: Annotated[
        str | None,
        BeforeValidator(host_address),
        Field(title="IP address, required", examples=["203.0.113.7", "'2001:db8::7'"]),
    ] = None
    """With `provider: static`, the public address of the server.

    The other nodes and `up` reach the server at this address.

    Changed later: the server counts as the same one at a new address. The other nodes get the new endpoint.

    Refused: a host name, an address inside `cidr`, the address of another node with `provider: static`.
    Refused by the preview: another address and another `hostKey` in the same run, because then the server is
    another one ([steps](static-nodes.md#another-server)).
    """

    host_ipv6: Annotated[
        str | None,
        BeforeValidator(second_address),
        Field(alias="hostIpv6", title="IPv6 address", examples=["'2001:db8::7'"]),
    ] = None
    """With `provider: static`, the public IPv6 address of a server that has an IPv4 address at `host`.

    Nodes without IPv4 reach the server here, and so do the others with [`prefer: ipv6`](paths.md). `up` uses
    `host`.

    Changed later: the other nodes get the new endpoint.

    Refused: an IPv4 address, and a second IPv6 address where `host` is one.
    """

    host_key: Annotated[
        str | None,
        BeforeValidator(public_host_key),
        Field(alias="hostKey", title="public SSH key, required", examples=["ssh-ed25519 AAAA..."]),
    ] = None
    """With `provider: static`, the public SSH host key that the server shows before it becomes a node.

    `mesh scan-host-key HOST` prints the line, with the fingerprint that you must compare. At first contact
    `up` accepts only this key. After that the server has the mesh's own host key, and this line stays in the
    file as the server's identity.

    Changed later: the server counts as installed anew: first contact and all files are done again.

    Refused: the key of another node.
    """

    @property
    def families(self) -> tuple[Literal["ipv4", "ipv6"], ...]:
        """The families of the server's public addresses."""
        if ":" in (self.host or ""):
            return ("ipv6",)
        return ("ipv4",) if self.host_ipv6 is None else ("ipv4", "ipv6")

    @property
    def known_addresses(self) -> tuple[str, ...]:
        """The server's public addresses."""
        return tuple(each for each in (self.host, self.host_ipv6) if each is not None)

    forget: Switch = False
    """With `provider: static`, whether the node goes without a command on the server: the server is dead.

    Without this key, the server of a node that is taken out runs `leave` over SSH.

    Changed later: with `true`, nothing runs on the server any more when the node goes.

    Refused: `forget: true` without `enabled: false`.
    """


def check_static(raw: Mapping[Any, Any], _stack: str | None, _mesh: str) -> Iterator[Finding | Problem]:
    """Yield what is wrong with the nodes at servers that are there already."""
    cidr, cidr6 = read(mesh_network, raw.get("cidr")), read(mesh_network6, raw.get("cidr6"))
    seen: dict[str, str] = {}
    for name, node in nodes(raw).items():
        if not isinstance(node, Mapping):
            continue
        yield from _missing(name, node)
        yield from _twice(name, node, seen)
        own = read(host_address, node.get("host"))
        yield from _inside(name, node, [each for each in (cidr, cidr6) if each is not None])
        if own is not None and ":" in own and read(second_address, node.get("hostIpv6")) is not None:
            yield (
                ("nodes", name, "hostIpv6"),
                f"is a second IPv6 address beside {own} (host); take one of them out",
            )
        if node.get("forget") is True and node.get("enabled") is not False:
            yield (
                ("nodes", name, "forget"),
                "needs `enabled: false`: forget a server only if it is dead and takes part no more",
            )


def _inside(
    name: str, node: Mapping[Any, Any], networks: Sequence[IPv4Network | IPv6Network]
) -> Iterator[Finding]:
    for key, field in (("host", host_address), ("hostIpv6", second_address)):
        own = read(field, node.get(key))
        address = None if own is None else read_ip(own)
        for network in networks:
            if address is not None and address in network:
                yield (
                    ("nodes", name, key),
                    f"{own} is inside the mesh's network {network}; write the server's public address",
                )


def _missing(name: str, node: Mapping[Any, Any]) -> Iterator[Finding]:
    if node.get("host") is None:
        yield (
            ("nodes", name, "host"),
            "is missing and required with provider: static, such as `host: 203.0.113.7`",
        )
    if node.get("hostKey") is None:
        scan = _SCAN.format(host=read(host_address, node.get("host")) or "HOST")
        yield ("nodes", name, "hostKey"), f"is missing and required with provider: static; {scan}"


def _twice(name: str, node: Mapping[Any, Any], seen: dict[str, str]) -> Iterator[Finding]:
    for key, field, remedy in (
        ("host", host_address, "give each node its own address"),
        ("hostIpv6", second_address, "give each node its own address"),
        (
            "hostKey",
            public_host_key,
            "if one server is a copy of the other, make new keys on one of them",
        ),
    ):
        value = read(field, node.get(key))
        if value is None:
            continue
        first = seen.setdefault(value, name)
        if first != name:
            yield ("nodes", name, key), f"{first} has the same {_CALLED.get(key, key)}; {remedy}"
