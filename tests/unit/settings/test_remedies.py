"""Every wrong value of every key: refused with its place, the value and a remedy, or taken for a reason.

A remedy that can be applied literally is applied, and then the mesh is right.
"""

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest

from mesh.program import KINDS
from mesh.settings import Instead, Problem, SettingsError, parse_settings
from mesh.settings.problems import show
from mesh.settings.remedies import mended, proven

SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMzUfO2eM8tJGiBGGlVUNBsd0JBTcPlvDeIRLGMqLY4o me"
MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "port": 51820,
    "mtu": 1420,
    "ssh": {"port": 22, "from": ["203.0.113.0/24", "2001:db8::/32"], "authorizedKeys": [SSH_KEY]},
    "defaults": {
        "location": "fsn1",
        "type": "cx23",
        "image": "debian-12",
        "metadata": "root",
        "provider": "hetzner",
        "trustedInterfaces": ["docker0"],
    },
    "nodes": {
        "web-1": {
            "address": "10.10.0.1",
            "enabled": True,
            "forward": False,
            "groups": ["web"],
            "public": ["tcp/80", "tcp/443"],
        },
        "db-1": {"address": "10.10.0.2", "groups": ["db"]},
    },
    "policy": [{"from": ["web"], "to": ["db"], "allow": ["tcp/5432", "icmp"]}],
    "policyTests": [{"from": "web", "to": "db", "port": "tcp/5432", "expect": "allow"}],
    "rollout": {"canary": "web-1"},
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


def _at(raw: Any, place: Place) -> Any:
    for part in place:
        raw = raw[part]
    return raw


def _places(value: Any, place: Place = ()) -> Iterator[Place]:
    yield place
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from _places(inner, (*place, key))


def _wrong(value: Any) -> dict[str, Any]:
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
            "key from elsewhere": {**value, "user": "x"},
            "secret": {**value, "privateKey": SECRETS["wireguard key"]},
            "nothing in it": dict.fromkeys(value),
        }
    return {
        label: other for label, other in found.items() if other != value or type(other) is not type(value)
    }


PLACES = list(_places(MESH))
# What looks odd and is right: names of the cloud (the preview asks the cloud), names of interfaces,
# comments of keys.
TAKEN = {
    r"defaults\.(location|type|image)": {
        "long text", "yes", "no", "on", "leading zeros", "no address", "letter missing", "twice"
    },
    r"defaults\.trustedInterfaces\.0": {
        "yes", "no", "on", "leading zeros", "no address", "letter missing", "twice", "upper case"
    },
    r"ssh\.authorizedKeys\.0": {"spaces around", "line break", "no-break space", "comma", "twice"},
    r"ssh\.from\..": {"IPv6", "IPv6 network", "letter missing", "upper case"},
    r"(ssh\.)?port": {"small number", "0777 as Pulumi reads it"},
    r"nodes\.web-1\.forward": {"true"},
    "ssh|defaults|rollout": {"empty mapping"},
    "rollout": {"nothing in it"},
    r"rollout\.canary": {"null"},
    r"(ssh|defaults|nodes\.web-1)\.(authorizedKeys|trustedInterfaces|public)|policy(Tests)?": {"empty list"},
    r"ssh\.(authorizedKeys|from)|defaults\.trustedInterfaces|policyTests": {"repeated"},
}  # fmt: skip
# Where the mistake shows elsewhere: a group or a node that is gone, and who names it.
ELSEWHERE = re.compile(r"nodes\.[^.]+\.groups(\.0)?|nodes\.web-1\.enabled|nodes")
# What tells the reader what to do.
REMEDY = re.compile(
    r"[;:,?] (write|give|take|name|list|leave|remove|put|widen|keep|change|did you mean|known are|"
    r"the only known word is|ports go from|the prefix length|the protocols are|no address of|a mesh has)\b"
    r"|^is missing and required, such as `|names of all nodes|a node has one address"
)


def _problems(raw: Any) -> tuple[Problem, ...]:
    try:
        parse_settings(raw, kinds=KINDS)
    except SettingsError as error:
        return error.problems
    return ()


def _related(one: Place, other: Place) -> bool:
    return one[: len(other)] == other or other[: len(one)] == one


def test_the_mesh_to_begin_with_is_right() -> None:
    assert _problems(MESH) == ()


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)) or "mesh")
def test_a_wrong_value_is_refused_with_place_value_and_remedy(place: Place) -> None:
    path = ".".join(map(str, place))
    taken: set[str] = set().union(*(labels for keys, labels in TAKEN.items() if re.fullmatch(keys, path)))
    for label, value in _wrong(_at(MESH, place)).items():
        raw = mended(MESH, place, Instead("value", copy.deepcopy(value)))
        problems = _problems(raw)
        assert problems or label in taken, label
        assert not problems or label not in taken, label
        near = [problem for problem in problems if _related(problem.place or (), place)]
        assert near or not problems or ELSEWHERE.fullmatch(path), label
        for problem in problems:
            assert REMEDY.search(problem.message), str(problem)
        for problem in near:
            if problem.place == place and not isinstance(value, dict | list) and value not in ("", " "):
                assert _names(problem, value), f"{label}: {problem}"
        told = f"{problems}".lower()
        for secret in SECRETS.values():
            assert not any(part.lower() in told for part in re.findall(r"[A-Za-z0-9+]{20,}", secret)), label


def _names(problem: Problem, value: Any) -> bool:
    """Whether a message shows the value, or what it comes to."""
    shown = show(value)
    return (
        shown in problem.message or shown.strip("'\"") in problem.message or "(not shown" in problem.message
    )


def _mistakes() -> Iterator[tuple[str, Any, tuple[Problem, ...]]]:
    for place in PLACES:
        for label, value in _wrong(_at(MESH, place)).items():
            raw = mended(MESH, place, Instead("value", copy.deepcopy(value)))
            yield f"{place} {label}", raw, _problems(raw)


@pytest.mark.long
def test_a_remedy_that_is_literal_helps() -> None:
    applied = 0
    for label, raw, problems in _mistakes():
        alone = len(problems) == 1
        for problem in proven(raw, problems, _problems):
            for remedy in problem.instead:
                rest = _problems(mended(raw, problem.place or (), remedy))
                assert not (alone and rest), f"{label}: {problem} -> {remedy}"
                applied += 1
    assert applied > 400
