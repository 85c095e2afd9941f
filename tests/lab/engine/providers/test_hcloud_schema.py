"""The provider's names are those of the PyPI package's types."""

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import pulumi_hcloud
import pytest

from lab.engine.providers.hcloud.functions import FUNCTIONS
from lab.engine.providers.hcloud.provider import KINDS
from lab.engine.providers.hcloud.resource import Kind

REFUSED = {"Server": {"iso", "rescue", "datacenter"}, "PrimaryIp": {"datacenter"}}
"""Inputs the engine refuses by name: no such thing in the lab, or gone from the API."""


NOT_INPUTS = {"resourceName", "opts", "Props", "Self", "__props__", "__self__"}


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def resource_class(kind: Kind) -> Any:
    return getattr(pulumi_hcloud, kind.token.rsplit(":", 1)[1])


def properties(kind: Kind) -> set[str]:
    """Every output property of the resource's class."""
    found = inspect.getmembers(resource_class(kind), lambda member: isinstance(member, property))
    return {camel(name) for name, _ in found} - {"id", "urn", "pulumiResourceName", "pulumiResourceType"}


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.token.rsplit(":", 1)[1])
def test_names_are_those_of_the_package(kind: Kind) -> None:
    name = kind.token.rsplit(":", 1)[1]
    source = Path(inspect.getfile(resource_class(kind))).read_text()
    assert f"super({name}, __self__).__init__(\n            '{kind.token}'" in source
    arguments = inspect.signature(resource_class(kind)._internal_init).parameters
    every = {camel(argument) for argument in arguments} - NOT_INPUTS
    assert every - REFUSED.get(name, set()) == kind.known
    needed = set(re.findall(r"Missing required property '(\w+)'", source))
    assert {camel(argument) for argument in needed} == set(kind.required)
    assert kind.computed <= properties(kind)
    assert kind.known <= properties(kind)
    for rules in (kind.replaces, kind.kept, kind.sets, kind.write_only, set(kind.defaults)):
        assert rules <= kind.known
    assert set(kind.nested_defaults) <= kind.known


@pytest.mark.parametrize("token", FUNCTIONS)
def test_functions_are_those_of_the_package(token: str) -> None:
    name = re.sub(r"(?<!^)([A-Z])", lambda found: f"_{found[1].lower()}", token.rsplit(":", 1)[1])
    source = Path(inspect.getfile(getattr(pulumi_hcloud, name))).read_text()
    assert f"'{token}'" in source


def answer_names(function: str) -> set[str]:
    """What the package reads out of an answer: keys as on the wire, less what only echoes arguments."""
    result = getattr(pulumi_hcloud, f"{function[0].upper()}{function[1:]}Result")
    found = inspect.getmembers(result, lambda member: isinstance(member, property))
    arguments = {"selector", "withSelector", "withStatuses", "withArchitecture", "withArchitectures"}
    return {camel(name) for name, _ in found} - arguments - {"includeDeprecated", "mostRecent"}


@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("getLocation", {"name": "fsn1"}), ("getLocations", {}),
        ("getServerType", {"name": "cx23"}), ("getServerTypes", {}),
        ("getImage", {"name": "debian-12"}), ("getImages", {}),
    ],
)  # fmt: skip
def test_answers_have_what_the_package_reads(play: Any, function: str, args: dict[str, Any]) -> None:
    answer = play(lambda stack: stack.provider.invoke(f"hcloud:index/{function}:{function}", args))
    assert answer_names(function) <= set(answer)
    for name, value in answer.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            singular = name.removesuffix("s")
            nested = getattr(
                pulumi_hcloud.outputs,
                f"{function[0].upper()}{function[1:]}{singular[0].upper()}{singular[1:]}Result",
            )
            members = inspect.getmembers(nested, lambda member: isinstance(member, property))
            assert {camel(member) for member, _ in members} == set(value[0])


def test_rules_are_fixed() -> None:
    """A kind is a table; nothing of it is kept per resource."""
    assert all(not dataclasses.is_dataclass(kind) and not vars(kind) for kind in KINDS.values())
