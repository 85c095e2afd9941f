"""The values of the stack file in the words of JSON Schema: for each function that reads one, what it takes.

A schema can say less than the function: it takes everything that the function takes, and more.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from mesh.settings import (
    addresses,
    addresses6,
    clients,
    fields,
    grants,
    interfaces,
    machines,
    names,
    routes,
    static,
    topology,
)

__all__ = ["NODE_NAME", "fragment_of"]

_BYTE: Final = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = rf"{_BYTE}(\.{_BYTE}){{3}}"


def _private(long: str) -> str:
    """Return a pattern of private networks; `long` matches the prefix lengths from 20 on."""
    return "|".join(
        (
            rf"10\.{_BYTE}\.{_BYTE}\.{_BYTE}/([89]|1[0-9]|{long})",
            rf"172\.(1[6-9]|2[0-9]|3[01])\.{_BYTE}\.{_BYTE}/(1[2-9]|{long})",
            rf"192\.168\.{_BYTE}\.{_BYTE}/(1[6-9]|{long})",
            rf"100\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.{_BYTE}\.{_BYTE}/(1[0-9]|{long})",
        )
    )


_MESH_NETWORKS: Final = _private("2[0-9]")
_ROUTES: Final = _private("2[0-9]|3[0-2]")
_ROUTES6: Final = r"fd[0-9a-f]{2}:[0-9a-f:]*/([89]|[1-9][0-9]|1[01][0-9]|12[0-8])"
# in the shortest spelling, which the function checks
_IPV6: Final = r"[0-9a-f]{1,4}:[0-9a-f:]*:[0-9a-f:.]*"
_MESH_NETWORKS6: Final = r"fd[0-9a-f]{2}:[0-9a-f:]*/(4[89]|[5-9][0-9]|1[01][0-9]|120)"
# Python's ip_network takes masks in both forms, and zeros before a prefix length.
_SOURCE: Final = rf"{_IPV4}(/([0-9]+|{_IPV4}))?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(/[0-9]+)?"
_PORT: Final = "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
_NUMBER: Final = rf"0{{0,4}}{_PORT}"
_NAME: Final = "[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?"
_INTERFACE: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}|[A-Za-z0-9][A-Za-z0-9_.-]{0,13}\*"
_DAYS: Final = "([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|36[0-4][0-9]|3650)d"
_KEY: Final = r"\s*(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+\s+[A-Za-z0-9+/]+=*(\s|$)"


def _text(pattern: str, what: str, **more: Any) -> dict[str, Any]:
    # patternErrorMessage: what editors with VS Code's YAML and JSON services show in place of the pattern
    return {"type": "string", "pattern": pattern, "patternErrorMessage": f"Not {what}.", **more}


def _whole(pattern: str) -> str:
    return f"^({pattern})$"


NODE_NAME: Final = {
    **_text(_whole(_NAME), "a host name: lower-case letters, digits and inner hyphens, at most 48"),
    "not": {"anyOf": [{"enum": sorted(names.RESERVED)}, {"pattern": _whole(names.NUMBERS)}]},
}
"""The name of a node."""

_HOST_NAME: Final = _text(_whole(_NAME), "a name: lower-case letters, digits and inner hyphens, at most 48")
_ALLOWED: Final = rf"(tcp|udp)/{_NUMBER}(-{_NUMBER})?"
_FRAGMENTS: Final[Mapping[Callable[..., Any], Mapping[str, Any]]] = {
    addresses.address: _text(_whole(_IPV4), "an IPv4 address such as 10.10.0.1", format="ipv4"),
    addresses.mesh_network: _text(
        _whole(_MESH_NETWORKS), "a private IPv4 network such as 10.10.0.0/24, /8 to /29"
    ),
    addresses6.address6: _text(_whole(_IPV6), "an IPv6 address such as fd1a:2b3c:4d5e::1", format="ipv6"),
    addresses6.mesh_network6: _text(
        _whole(_MESH_NETWORKS6), "a private IPv6 network such as fd1a:2b3c:4d5e::/64, /48 to /120"
    ),
    addresses.source_network: _text(_whole(_SOURCE), "a network such as 203.0.113.0/24 or 2001:db8::/32"),
    fields.port_number: {"type": "integer", "minimum": 1, "maximum": 65535},
    fields.generation: {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    fields.days: _text(_whole(_DAYS), "a number of days such as 90d, 1d to 3650d"),
    fields.keepalive: {"type": "integer", "minimum": 0, "maximum": 3600},
    fields.mtu: {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1280, "maximum": 8920}]},
    fields.underlay_mtu: {"type": "integer", "minimum": 1280, "maximum": 9000},
    fields.authorized_key: _text(f"^{_KEY}", "a public key: one line of authorized_keys without options"),
    grants.port_range: _text(_whole(_ALLOWED), "a port such as tcp/443, udp/53 or tcp/8000-8100"),
    grants.single_port: _text(
        _whole(rf"(tcp|udp)/0{{0,4}}{_PORT}(-0{{0,4}}\3)?"), "one port such as tcp/5432"
    ),
    grants.allowed: {
        "anyOf": [
            _text(_whole(_ALLOWED), "a port such as tcp/5432, icmp or all"),
            {"enum": ["icmp", "all"]},
        ]
    },
    interfaces.interface: {
        **_text(_whole(_INTERFACE), "an interface such as docker0 or br-*, and no network card"),
        "not": {"pattern": _whole(interfaces.REFUSED)},
    },
    static.host_address: _text(
        _whole(rf"\s*({_IPV4}|[0-9a-f]*:[0-9a-f:.]*)\s*"), "an IP address such as 203.0.113.7"
    ),
    static.public_host_key: _text(
        r"^\s*(ssh|ecdsa)-[a-z0-9-]+\s+[A-Za-z0-9+/]+=*(\s|$)", "a public SSH host key"
    ),
    static.login: _text(_whole("[a-z_][a-z0-9_-]{0,31}"), "the name of a user such as root or debian"),
    static.config_key: _text(_whole("[A-Za-z][A-Za-z0-9_-]{0,63}"), "the name of a secret"),
    routes.route: _text(
        _whole(f"{_ROUTES}|{_ROUTES6}"), "a private network such as 10.20.0.0/16 or fd20::/64"
    ),
    routes.member: _text(
        _whole(rf"{_NAME}|{_IPV4}/([0-9]|[12][0-9]|3[0-2])|[0-9a-f]*:[0-9a-f:]*/[0-9]{{1,3}}"),
        "a name (lower-case letters, digits and inner hyphens, at most 48) or a network such as 10.20.0.0/16",
    ),
    clients.public_key: _text(
        r"^\s*[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\s*$", "a WireGuard public key, as `wg pubkey` prints it"
    ),
    names.host_name: _HOST_NAME,
    topology.link: {"type": "array", "items": _HOST_NAME, "minItems": 2, "maxItems": 2},
}
_WORD: Final = _text(f"^{fields.WORD.pattern}$", "a name of lower-case letters, digits, dots and hyphens")


def fragment_of(field: object) -> dict[str, Any] | None:
    """Return what a function takes that reads a value; None of one that is not known here."""
    if isinstance(field, partial):
        if field.func is fields.read_word:
            return dict(_WORD)
        if field.func is fields.read_one_of:
            return {"enum": list(field.args[0])}
        if field.func is machines.read_provider:
            return {"enum": list(field.args[0])}
        return None
    found = _FRAGMENTS.get(field) if callable(field) else None
    return None if found is None else dict(found)
