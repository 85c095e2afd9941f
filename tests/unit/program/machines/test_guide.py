"""The guide to adding a provider shows the very file that tests/system/test_basement.py runs."""

import importlib
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mesh.program import PROVIDERS
from mesh.program.machines import kinds_of
from mesh.settings import Model, SettingsError, parse_settings

ROOT = Path(__file__).parents[4]
EXAMPLE = ROOT / "examples" / "basement"
GUIDE = (ROOT / "docs" / "add-a-provider.md").read_text()


def test_the_guide_shows_the_example_whole() -> None:
    shown = [part.rstrip("\n") for part in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)]
    whole = (EXAMPLE / "basement.py").read_text()
    assert "\n\n\n".join(shown[:-1]) + "\n" == whole
    assert shown[-1] + "\n" == (EXAMPLE / "__main__.py").read_text()
    assert len(whole.splitlines()) < 120


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.delitem(sys.modules, "basement", raising=False)
    return {**PROVIDERS, "basement": importlib.import_module("basement").BasementProvider()}


def _problems(raw: dict[str, Any], providers: dict[str, Any]) -> list[str]:
    try:
        parse_settings(raw, stack="dev", kinds=kinds_of(providers))
    except SettingsError as error:
        return [str(problem) for problem in error.problems]
    return []


def _mesh(**nodes: dict[str, Any]) -> dict[str, Any]:
    return {"cidr": "10.40.0.0/22", "nodes": nodes}


def test_the_providers_keys_and_limits_are_checked_with_all_others(providers: dict[str, Any]) -> None:
    nodes = {f"n{index}": {"address": f"10.40.0.{index}", "provider": "basement"} for index in range(1, 22)}
    nodes["n1"] = {"address": "10.40.9.1", "provider": "basement", "location": "fsn1"}
    known = (
        "address, image, address6, enabled, generation, revoked, "
        "protect, groups, public, forward, endpoint, keepalive, relay, "
        "egress, routes, formerly, networkAddress, trustedInterfaces, metadata, underlayMtu, "
        "keySource, provider, network"
    )
    assert _problems(_mesh(**nodes), providers) == [
        "mesh.nodes: are 21, but the basement has room for 20; remove some nodes",
        "mesh.nodes.n1.address: 10.40.9.1 is outside 10.40.0.0/22; write 10.40.0.1, which is free",
        f"mesh.nodes.n1.location: is not a known key; known are {known}",
    ]


def test_nodes_of_both_kinds_share_a_mesh_and_its_defaults(providers: dict[str, Any]) -> None:
    raw = _mesh(a={"address": "10.40.0.1"}, b={"address": "10.40.0.2", "provider": "basement"})
    settings = parse_settings({**raw, "defaults": {"type": "cx33"}}, kinds=kinds_of(providers))
    assert {name: node.machine.model_dump() for name, node in settings.nodes.items()} == {
        "a": {
            "location": "fsn1",
            "type": "cx33",
            "image": "debian-12",
            "public_ipv4": True,
            "public_ipv6": False,
        },
        "b": {"image": "debian-12"},
    }


class _Cellar(Model):
    """Keys of a kind whose defaults are others than Hetzner's."""

    image: str = "alpine-3"
    location: str = "shelf"


def test_each_kind_has_its_own_defaults(providers: dict[str, Any]) -> None:
    kinds = {**kinds_of(providers), "cellar": replace(kinds_of(providers)["basement"], model=_Cellar)}
    raw = _mesh(a={"address": "10.40.0.1", "provider": "cellar"})
    (node,) = parse_settings(raw, kinds=kinds).nodes.values()
    assert node.machine.model_dump() == {"image": "alpine-3", "location": "shelf"}
    (node,) = parse_settings({**raw, "defaults": {"image": "debian-13"}}, kinds=kinds).nodes.values()
    assert node.machine.model_dump() == {"image": "debian-13", "location": "shelf"}


def test_the_first_kind_is_the_default_where_hetzner_is_none(providers: dict[str, Any]) -> None:
    alone = {"basement": providers["basement"]}
    (node,) = parse_settings(_mesh(a={"address": "10.40.0.1"}), kinds=kinds_of(alone)).nodes.values()
    assert node.provider == "basement"
    raw = _mesh(a={"address": "10.40.0.1", "provider": "basment"})
    assert _problems(raw, alone) == [
        "mesh.nodes.a.provider: 'basment' is not a known provider; did you mean basement?"
    ]


def test_a_provider_that_is_not_known_is_named(providers: dict[str, Any]) -> None:
    raw = _mesh(a={"address": "10.40.0.1", "provider": "cellar"})
    assert _problems(raw, providers) == [
        "mesh.nodes.a.provider: 'cellar' is not a known provider; known are hetzner, static, basement"
    ]
    assert _problems(raw, dict(PROVIDERS)) == [
        "mesh.nodes.a.provider: 'cellar' is not a known provider; known are hetzner, static"
    ]
