"""A mesh that has every key, and what people write for each value, or by mistake."""

import re
from collections.abc import Iterator
from typing import Any

__all__ = ["MESH", "PLACES", "REMEDY", "SECRETS", "SSH_KEY", "Place", "value_at", "wrong_values"]

SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMzUfO2eM8tJGiBGGlVUNBsd0JBTcPlvDeIRLGMqLY4o me"
MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "cidr6": "fd1a:2b3c:4d5e::/64",
    "port": 51820,
    "mtu": 1420,
    "protect": False,
    "ssh": {"port": 22, "from": ["203.0.113.0/24", "2001:db8::/32"], "authorizedKeys": [SSH_KEY]},
    "defaults": {
        "location": "fsn1",
        "type": "cx23",
        "image": "debian-12",
        "metadata": "root",
        "underlayMtu": 1500,
        "provider": "hetzner",
        "trustedInterfaces": ["docker0"],
        "publicIpv4": True,
        "publicIpv6": False,
    },
    "prefer": "ipv4",
    "networks": {"backbone": {"cidr": "10.0.0.0/16", "existing": False, "zone": "eu-central"}},
    "nodes": {
        "web-1": {
            "address": "10.10.0.1",
            "address6": "fd1a:2b3c:4d5e::80",
            "enabled": True,
            "forward": False,
            "endpoint": "auto",
            "keepalive": 25,
            "groups": ["web"],
            "formerly": ["old-1"],
            "public": ["tcp/80", "tcp/443"],
            "network": "backbone",
            "networkAddress": "10.0.0.11",
        },
        "db-1": {"address": "10.10.0.2", "groups": ["db"], "routes": ["10.20.0.0/16"]},
    },
    "clients": {
        "laptop": {
            "address": "10.10.0.200",
            "publicKey": "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
            "to": ["web-1"],
            "groups": ["people"],
            "enabled": True,
        },
    },
    "policy": [{"from": ["web"], "to": ["db"], "allow": ["tcp/5432", "icmp"]}],
    "policyTests": [{"from": "web", "to": "db", "port": "tcp/5432", "expect": "allow"}],
    "rollout": {"canary": "web-1"},
    "links": [["web", "db"]],
}
Place = tuple[int | str, ...]

SECRETS = {
    "wireguard key": "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
    "token of the cloud": "Yq3xVb7Lk2Wm9Zp4Rt6Nc8Hd1Jf5Gs0TaQeUoIyBvCzXnKlMhSgDwFrEjPqA2b4c",
    "private key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAE\n-----END",
}
ANYTHING: dict[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "small number": 7,
    "fraction": 1.5,
    "negative": -1,
    "huge": 10**30,
    "infinite": float("inf"),
    "empty text": "",
    "space": " ",
    "long text": "x" * 200,
    "empty list": [],
    "empty mapping": {},
    "mapping": {"a": 1},
    "date as Pulumi reads it": "2026-01-01 00:00:00 +0000 UTC",
    "0777 as Pulumi reads it": 511,
    "yes": "yes",
    "no": "no",
    "on": "on",
    "IPv6": "fd00::1",
    "IPv6 network": "fd00::/64",
    "host bits": "10.10.0.5/24",
    "leading zeros": "010.010.000.009",
    "no address": "10.10.0.300",
    "words": "some words here",
    "star": "*",
    "port too high": "tcp/99999",
    **SECRETS,
}
LOOKALIKES = str.maketrans({"e": "\u0435", "o": "\u043e", "c": "\u0441", "-": "\u2013"})
FULL_WIDTH = str.maketrans({str(digit): chr(0xFF10 + digit) for digit in range(10)})


def value_at(raw: Any, place: Place) -> Any:
    for part in place:
        raw = raw[part]
    return raw


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    yield place
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from places(inner, (*place, key))


def wrong_values(value: Any) -> dict[str, Any]:
    """What people write for a value, or by mistake."""
    found = {**ANYTHING, "list of one": [value], "list of two": [value, value]}
    if isinstance(value, str):
        found |= {
            "upper case": value.upper(),
            "spaces around": f" {value} ",
            "line break": f"{value}\n",
            "no-break space": f"\u00a0{value}",
            "zero-width space": f"{value}\u200b",
            "lookalikes": value.translate(LOOKALIKES),
            "full-width digits": value.translate(FULL_WIDTH),
            "quotes": f'"{value}"',
            "curly quotes": f"\u201c{value}\u201d",
            "comma": f"{value},",
            "letter missing": value[0] + value[2:],
            "twice": value + value,
            "backslash": value.replace("/", "\\"),
        }
    elif isinstance(value, bool):
        found |= {"quoted": str(value).lower(), "title case": str(value), "digit": int(value)}
    elif isinstance(value, int):
        found |= {
            "quoted": str(value),
            "zero": 0,
            "high": 70000,
            "unit": f"{value} bytes",
            "tcp": f"tcp/{value}",
        }
    elif isinstance(value, list):
        joined = ", ".join(map(str, value))
        found |= {"joined": joined, "repeated": value + value, "one alone": value[0], "numbers": [1, 2]}
        found |= {"nulls": [None], "nested": [value]}
    elif isinstance(value, dict):
        found |= {
            "list of pairs": [{key: inner} for key, inner in value.items()],
            "misspelled keys": {f"{key[:-1]}x{key[-1]}": inner for key, inner in value.items()},
            "keys in upper case": {key.upper(): inner for key, inner in value.items()},
            "unknown key": {**value, "zzz": 1},
            "key from elsewhere": {**value, "username": "x"},
            "secret": {**value, "privateKey": SECRETS["wireguard key"]},
            "nothing in it": dict.fromkeys(value),
        }
    return {
        label: other for label, other in found.items() if other != value or type(other) is not type(value)
    }


PLACES = list(places(MESH))
# What tells the reader what to do.
REMEDY = re.compile(
    r"[;:,?] (write|give|take|name|list|leave|remove|put|widen|keep|change|indent|did you mean|known are|"
    r"the only known word is|ports go from|the prefix length|the protocols are|no address of)\b"
    r"|^is missing and required, such as `|names of all nodes|a node has one address"
)
