"""The JSON schema takes what the program takes, and refuses what JSON Schema can refuse."""

import copy
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from check_jsonschema import main as check_jsonschema  # type: ignore[import-untyped]
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from typer.testing import CliRunner as TyperRunner

from mesh.__main__ import app
from mesh.program import KINDS, PROVIDERS
from mesh.settings import Instead, SettingsError, parse_settings
from mesh.settings.machines import MachineKind
from mesh.settings.remedies import mended
from mesh.stackfile.schema import stack_schema
from tests.examples import examples
from tests.unit.meshes import meshes
from tests.unit.wrong_values import MESH, PLACES, SSH_KEY, value_at, wrong_values
from tools.stack_file import schemas

ROOT = Path(__file__).parents[3]
WHOLE = stack_schema(KINDS)
VALIDATOR = Draft202012Validator({"$ref": "#/$defs/mesh", "$defs": WHOLE["$defs"]})
CASES = sorted((ROOT / "tests" / "unit" / "settings").glob("*/*.yaml"))
STACKS = sorted((ROOT / "stacks").glob("Pulumi.*.yaml"))


def _taken(raw: Any) -> bool:
    try:
        parse_settings(raw, kinds=KINDS)
    except SettingsError:
        return False
    return True


def test_the_schemas_are_current() -> None:
    for path, text in schemas().items():
        assert path.read_text() == text, f"{path}: run `make stack-file`"


def test_the_schemas_are_schemas() -> None:
    for text in schemas().values():
        Draft202012Validator.check_schema(yaml.safe_load(text))


def _check(schema: Path, *files: Path) -> Result:
    return CliRunner().invoke(check_jsonschema, ["--schemafile", str(schema), *map(str, files)])


def test_every_stack_file_is_what_its_schema_says() -> None:
    files = [*STACKS, *sorted((ROOT / "examples").glob("*/Pulumi.*.yaml"))]
    assert len(files) > 5
    for folder in sorted({path.parent for path in files}):
        found = _check(folder / "schema.json", *(path for path in files if path.parent == folder))
        assert found.exit_code == 0, found.stdout
    for path in files:
        assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n"), path


def test_the_checker_refuses_a_wrong_file(tmp_path: Path) -> None:
    wrong = tmp_path / "Pulumi.lab.yaml"
    wrong.write_text((ROOT / "stacks" / "Pulumi.lab.yaml").read_text().replace("tcp/443", "TCP/443"))
    found = _check(ROOT / "stacks" / "schema.json", wrong)
    assert found.exit_code == 1
    assert "'TCP/443'" in found.stdout


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_schema_takes_the_settings_that_the_cases_take(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    if "settings" in case:
        VALIDATOR.validate(case["given"])


@pytest.mark.long
def test_the_schema_is_never_stricter_than_the_parser_and_mostly_as_strict() -> None:
    refused = missed = 0
    for place in PLACES:
        for label, value in wrong_values(value_at(MESH, place)).items():
            raw = mended(MESH, place, Instead("value", copy.deepcopy(value)))
            valid = VALIDATOR.is_valid(raw)
            if _taken(raw):
                assert valid, f"{place} {label}"
            else:
                refused += not valid
                missed += valid
    assert missed < refused / 20


PORTS = st.one_of(
    st.sampled_from(["tcp/80", "udp/00053", "tcp/1-65535", "udp/65535", "tcp/010-20"]),
    st.builds(
        lambda protocol, first, more: f"{protocol}/{first}-{min(first + more, 65535)}",
        st.sampled_from(["tcp", "udp"]),
        st.integers(1, 65535),
        st.integers(0, 1000),
    ),
)
INTERFACES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,13}[*a-z0-9]", fullmatch=True)
SOURCES = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: str(address).upper()),
    st.builds(lambda a, b: f"{a}.{b}.0.0/16", st.integers(1, 126), st.integers(0, 255)),
    st.builds(lambda a: f"{a}.0.0.0/255.0.0.0", st.integers(1, 126)),
    st.builds(lambda a: f"2{a:03x}::/16", st.integers(0, 4095)),
    st.sampled_from(["0.0.0.0/0", "::/0", "203.0.113.0/024", "2001:db8::1.2.3.4"]),
)
WORDS = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
KEYS = st.sampled_from(
    [SSH_KEY, f"  {SSH_KEY}\n", SSH_KEY.removesuffix(" me"), SSH_KEY.replace(" me", "\tme")]
)


@st.composite
def settings(draw: st.DrawFn) -> Any:
    """Any mesh with any of its keys, most of them right."""
    mesh = draw(meshes())
    names = list(mesh["nodes"])
    groups = st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?", fullmatch=True), max_size=3)
    machine = {"location": WORDS, "type": WORDS, "image": WORDS, "provider": st.just("hetzner")}
    shared = {
        **machine,
        "metadata": st.sampled_from(["root", "containers"]),
        "trustedInterfaces": st.lists(INTERFACES, max_size=2),
        "underlayMtu": st.integers(1280, 9000) | st.just(1400.0),
    }
    for name in names:
        own = {**shared, "groups": groups, "public": st.lists(PORTS, max_size=3), "enabled": st.booleans()}
        mesh["nodes"][name] |= draw(st.fixed_dictionaries({}, optional=own))
    who = st.lists(st.sampled_from([*names, "all"]), min_size=1, max_size=3)
    rule = {
        "from": who,
        "to": who,
        "allow": st.lists(PORTS | st.sampled_from(["icmp", "all"]), min_size=1, max_size=3),
    }
    test = {
        "from": st.sampled_from([*names, "all"]),
        "to": st.sampled_from([*names, "all"]),
        "port": PORTS,
        "expect": st.sampled_from(["allow", "deny"]),
    }
    ssh = {
        "port": st.integers(1, 65535),
        "from": st.lists(SOURCES, min_size=1, max_size=3),
        "authorizedKeys": st.lists(KEYS, max_size=2),
    }
    more = {
        "port": st.integers(1, 65535) | st.just(51820.0),
        "mtu": st.just("auto") | st.integers(1280, 8920),
        "ssh": st.fixed_dictionaries({}, optional=ssh),
        "defaults": st.fixed_dictionaries({}, optional=shared),
        "policy": st.lists(st.fixed_dictionaries(rule), max_size=2),
        "policyTests": st.lists(st.fixed_dictionaries(test), max_size=2),
        "rollout": st.fixed_dictionaries({}, optional={"canary": st.sampled_from([*names, None])}),
    }
    return {**mesh, **draw(st.fixed_dictionaries({}, optional=more))}


@examples(1)
@given(settings())
def test_the_schema_takes_whatever_the_parser_takes(raw: Any) -> None:
    if _taken(raw):
        VALIDATOR.validate(raw)


@examples(3)
@given(
    st.sampled_from(PORTS_TEXTS := ["tcp", "udp", "TCP", "/", "-", "0", "1", "9", "65535", "65536", " "]),
    st.data(),
)
def test_ports_of_any_form_are_read_alike(first: str, data: st.DataObject) -> None:
    text = first + "".join(data.draw(st.lists(st.sampled_from(PORTS_TEXTS), max_size=5)))
    raw = copy.deepcopy(MESH)
    raw["policy"][0]["allow"] = [text]
    if _taken(raw):
        VALIDATOR.validate(raw)


def test_every_key_has_a_description_for_the_editor() -> None:
    for name, part in WHOLE["$defs"].items():
        for key, value in part["properties"].items():
            described = (
                "description" in value or "description" in WHOLE["$defs"][value["$ref"].split("/")[-1]]
            )
            assert described, f"{name}.{key}"
            assert "`" not in str(value.get("description"))
            assert "](" not in str(value.get("description"))


def test_the_examples_of_a_key_are_right() -> None:
    for part in WHOLE["$defs"].values():
        for value in part["properties"].values():
            for example in [*value.get("examples", []), *([value["default"]] if "default" in value else [])]:
                Draft202012Validator({**value, "$defs": WHOLE["$defs"]}).validate(example)


def test_the_key_of_the_mesh_has_the_name_of_the_project() -> None:
    shop = Draft202012Validator(stack_schema(KINDS, "shop"))
    assert shop.is_valid({"config": {"shop:mesh": MESH}})
    assert shop.is_valid({"config": {"mesh": MESH}})
    assert not shop.is_valid({"config": {"wireguard-mesh:mesh": MESH}})
    assert not shop.is_valid({"config": {"shop:mesh": MESH, "mesh": MESH}})


def test_the_keys_of_each_provider_are_known_and_no_others() -> None:
    from mesh.settings import Model  # noqa: PLC0415 - a provider for this test alone

    class Shelf(Model):
        shelf: int = 1

    kinds = {**KINDS, "basement": MachineKind(model=Shelf)}
    both = Draft202012Validator(stack_schema(kinds))

    def taken(**node: Any) -> bool:
        nodes = {"web-1": {"address": "10.10.0.1", **node}}
        return both.is_valid({"config": {"mesh": {"cidr": "10.10.0.0/24", "nodes": nodes}}})

    assert taken(location="fsn1")
    assert taken(provider="basement", shelf=2)
    assert not taken(provider="basement", location="fsn1")
    assert not taken(provider="hetzner", shelf=2)
    assert not taken(provider="elsewhere")
    assert set(PROVIDERS) <= set(kinds)


def test_what_a_providers_model_has_beside_keys_is_no_key() -> None:
    from pydantic import Field, PrivateAttr  # noqa: PLC0415 - as above

    from mesh.settings import Model  # noqa: PLC0415

    class Rack(Model):
        KINDS: ClassVar[tuple[str, ...]] = ("tall",)
        """What racks there are."""

        rack: int = Field(1, alias="rackNumber")
        """Which rack."""

        shelf: int = Field(1, validation_alias="rackShelf")
        """Which shelf in it."""

        _seen: int = PrivateAttr(0)
        """How often."""

    schema = stack_schema({**KINDS, "basement": MachineKind(model=Rack)})
    keys = schema["$defs"]["node"]["properties"]
    assert keys["rackNumber"]["description"].startswith("Which rack.")
    assert not {"KINDS", "_seen", "rack"} & {*keys}


def test_the_command_prints_the_schema_of_a_project() -> None:
    printed = TyperRunner().invoke(app, ["schema", "--project", "shop"])
    assert printed.exit_code == 0
    assert printed.stdout == (ROOT / "examples" / "shop" / "schema.json").read_text()
    assert '"shop:mesh"' in printed.stdout
