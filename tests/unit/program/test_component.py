"""The component package: what other languages are offered, and how their arguments become settings."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.errors import InputPropertiesError, InputPropertyError

from mesh.names import VERSION
from mesh.program.arguments import as_settings
from mesh.program.component import MeshProvider
from mesh.settings import SettingsError, parse_settings
from tests.unit.settings import test_docs

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "schema" / "wireguard-mesh.json"
WHOLE = """
cidr: 10.10.0.0/24
port: 51821
mtu: 1400
ssh: {port: 2222, from: [203.0.113.0/24], authorizedKeys: []}
defaults:
  {provider: hetzner, location: fsn1, type: cx23, image: debian-12, trustedInterfaces: [cni0],
   metadata: containers, underlayMtu: 1500, keySource: node}
nodes:
  web-1:
    {address: 10.10.0.1, provider: hetzner, groups: [web], public: [tcp/80], forward: true, metadata: root,
     underlayMtu: 9000, keySource: state}
  db-1: {address: 10.10.0.2, location: nbg1, type: cx33, image: debian-13, trustedInterfaces: []}
  db-2: {address: 10.10.0.3, enabled: false}
policy: [{from: [web], to: [db-1], allow: [tcp/5432, icmp]}]
policyTests: [{from: web, to: db-1, port: tcp/5432, expect: allow}]
rollout: {canary: web-1}
"""


@pytest.fixture(scope="module")
def provider() -> MeshProvider:
    return MeshProvider()


@pytest.fixture(scope="module")
def schema(provider: MeshProvider) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(provider.schema or "")
    return found


def test_the_schema_is_as_written_down(schema: dict[str, Any]) -> None:
    """Programs in other languages are generated from it: docs/versions.md says what is a break."""
    if os.environ.get("WGMESH_RENEW"):
        GOLDEN.write_text(json.dumps(schema, indent=2) + "\n")
    assert schema == json.loads(GOLDEN.read_text())
    assert schema["version"] == VERSION


def _keys(schema: dict[str, Any], properties: dict[str, Any], prefix: str) -> set[str]:
    """Every key of an object, spelled as the guide's headings: `nodes.<name>.address`."""
    found = set()
    for name, described in properties.items():
        inner, path = described, f"{prefix}{name}"
        if "additionalProperties" in described:
            inner, path = described["additionalProperties"], f"{path}.<name>"
        elif "items" in described:
            inner, path = described["items"], f"{path}[]"
        reference = inner.get("$ref", "").removeprefix("#/types/")
        of = schema["types"].get(reference, {}).get("properties")
        found |= _keys(schema, of, f"{path}.") if of else {f"{prefix}{name}"}
    return found


def test_every_key_of_the_stack_file_is_an_argument(schema: dict[str, Any]) -> None:
    mesh = schema["resources"]["wireguard-mesh:index:Mesh"]
    assert _keys(schema, mesh["inputProperties"], "") == {key for key, _ in test_docs.FIELDS}


def test_everything_in_the_schema_is_described(schema: dict[str, Any]) -> None:
    described = {**schema["types"], **schema["resources"]}
    for each in list(described.values()):
        described |= {**each.get("properties", {}), **each.get("inputProperties", {})}
    assert [name for name, each in described.items() if not each.get("description")] == []


def _mapped(provider: MeshProvider, given: dict[str, Any]) -> Any:
    """The arguments as the component gets them, by the SDK's own mapping; on the wire numbers are floats."""
    on_the_wire = json.loads(json.dumps(given), parse_int=float)
    return provider.map_inputs(on_the_wire, provider._component_defs["Mesh"])


def test_arguments_are_the_settings_of_the_stack_file(provider: MeshProvider) -> None:
    raw = yaml.safe_load(WHOLE)
    settings = as_settings(_mapped(provider, raw))
    assert settings == raw
    assert parse_settings(settings).model_dump() == parse_settings(raw).model_dump()


def test_names_of_nodes_are_left_as_they_are(provider: MeshProvider) -> None:
    raw = {"cidr": "10.10.0.0/24", "nodes": {"web_from_1": {"address": "10.10.0.1"}}}
    with pytest.raises(SettingsError, match="web_from_1"):
        parse_settings(as_settings(_mapped(provider, raw)))


def test_a_value_that_only_a_run_knows_is_refused_with_its_place() -> None:
    async def ask() -> None:
        later = pulumi.Output.from_input("10.10.0.1")
        await later.future()  # nothing of it may be left to the next program's run
        as_settings({"cidr": "10.10.0.0/24", "nodes": {"web-1": {"address": later}}})  # type: ignore[typeddict-item]

    with pytest.raises(InputPropertyError) as caught:
        asyncio.run(ask())
    assert caught.value.property_path == "nodes.web-1.address"
    assert "plain value" in caught.value.reason


def test_mistakes_are_told_at_their_properties(provider: MeshProvider) -> None:
    raw = {"cidr": "10.10.0.0/24", "nodes": {"web-1": {"address": "10.99.0.1"}, "db-1": {"address": "x"}}}
    with pytest.raises(InputPropertiesError) as caught:
        provider.construct("mesh", "wireguard-mesh:index:Mesh", raw)
    assert [each["property_path"] for each in caught.value.errors or []] == [
        "nodes.web-1.address",
        "nodes.db-1.address",
    ]


def test_a_name_that_no_mesh_can_have_is_refused_without_a_traceback(provider: MeshProvider) -> None:
    raw = {"cidr": "10.10.0.0/24", "nodes": {"web-1": {"address": "10.10.0.1"}}}
    with pytest.raises(InputPropertiesError, match="'My Mesh' cannot be the name of a mesh"):
        provider.construct("My Mesh", "wireguard-mesh:index:Mesh", raw)


def test_pulumi_finds_the_plugin_where_it_looks() -> None:
    folder = ROOT / "component"
    assert yaml.safe_load((folder / "PulumiPlugin.yaml").read_text())["runtime"] == "python"
    (pinned,) = (folder / "requirements.txt").read_text().split("-r ")[1:]
    assert (folder / pinned.strip()).exists()
    assert (folder / "__main__.py").exists()
