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
from tests.unit.wrong_values import MESH, PLACES, REMEDY, SECRETS, Place, value_at, wrong_values

# What looks odd and is right: names of the cloud (the preview asks the cloud), names of interfaces,
# comments of keys.
TAKEN = {
    r"defaults\.(location|type|image)|networks\.backbone\.zone": {
        "long text", "yes", "no", "on", "leading zeros", "no address", "letter missing", "twice"
    },
    r"defaults\.trustedInterfaces\.0": {
        "yes", "no", "on", "leading zeros", "no address", "letter missing", "twice", "upper case"
    },
    r"ssh\.authorizedKeys\.0": {"spaces around", "line break", "no-break space", "comma", "twice"},
    r"nodes\.web-1\.formerly\.0": {"yes", "no", "on", "letter missing", "twice"},
    r"ssh\.from\..": {"IPv6", "IPv6 network", "letter missing", "upper case"},
    r"nodes\.db-1\.routes\.0": {"IPv6 network"},
    r"(ssh\.)?port": {"small number", "0777 as Pulumi reads it"},
    r"nodes\.web-1\.keepalive": {"small number", "0777 as Pulumi reads it", "zero"},
    r"nodes\.web-1\.forward|protect|defaults\.publicIpv6|networks\.backbone\.existing": {"true"},
    "ssh|defaults|rollout|clients": {"empty mapping"},
    "clients": {"misspelled keys"},
    # nothing can tell a private key from a public one
    r"clients\.laptop\.publicKey": {"wireguard key", "spaces around", "line break", "no-break space"},
    r"clients\.laptop\.groups": {"empty list"},
    r"clients\.laptop\.groups\.0": {"yes", "no", "on", "letter missing", "twice"},
    r"clients\.laptop\.enabled": {"false"},
    "rollout": {"nothing in it"},
    r"rollout\.canary": {"null"},
    r"(ssh|defaults|nodes\.web-1)\.(authorizedKeys|trustedInterfaces|public|formerly)": {"empty list"},
    r"nodes\.db-1\.routes|policy(Tests)?": {"empty list"},
    r"ssh\.(authorizedKeys|from)|defaults\.trustedInterfaces|policyTests": {"repeated"},
}  # fmt: skip
# Where the mistake shows elsewhere: a group, a node or a network that is gone, and who names it; another
# network; nodes without an address.
ELSEWHERE = re.compile(
    r"cidr6|nodes\.[^.]+\.groups(\.0)?|nodes\.web-1\.(enabled|network)|nodes|networks|defaults\.publicIpv4"
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
    for label, value in wrong_values(value_at(MESH, place)).items():
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
        for label, value in wrong_values(value_at(MESH, place)).items():
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
