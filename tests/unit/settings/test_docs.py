"""docs/stack-file.md and stacks/ are true: every key is described, every example is a stack file."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic.fields import FieldInfo

from mesh.plan import plan_mesh
from mesh.program import KINDS
from mesh.settings import Client, PolicyRule, PolicyTest, Rollout, Rotation, Settings, Ssh, parse_settings
from mesh.settings.machines import MachineModels
from mesh.settings.networks import Network
from mesh.settings.static import StaticMachine
from tools.stack_file import with_keys

REPOSITORY = Path(__file__).parents[3]
GUIDE = (REPOSITORY / "docs" / "stack-file.md").read_text()
STACKS = sorted((REPOSITORY / "stacks").glob("Pulumi.*.yaml"))
MODELS = MachineModels(KINDS)
SECTIONS: dict[str, Any] = {
    "ssh": Ssh,
    "defaults": MODELS.defaults,
    "networks.<name>": Network,
    "nodes.<name>": MODELS.node({}),
    "clients.<name>": Client,
    "policy[]": PolicyRule,
    "policyTests[]": PolicyTest,
    "rollout": Rollout,
    "rotation": Rotation,
}
STATIC = {field.alias or name for name, field in StaticMachine.model_fields.items()}
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDcYbQUFzGN9Rr1m7r0bzMbPmlYvU0n9f3Bq0hQm3yqC"
WITHOUT_PREFIX = {name.split(".")[0].removesuffix("[]") for name in SECTIONS}


def _fields() -> Iterator[tuple[str, FieldInfo]]:
    sections = [*SECTIONS.items(), ("nodes.<name>", StaticMachine)]
    for prefix, model in [("", Settings), *((f"{name}.", model) for name, model in sections)]:
        for name, field in model.model_fields.items():
            key = field.alias or name
            if prefix or key not in WITHOUT_PREFIX:
                yield prefix + key, field


FIELDS = list(_fields())


def _sections() -> dict[str, str]:
    """The text below each heading, by the keys in the heading."""
    parts = re.split(r"^#+ (.*)\n", GUIDE, flags=re.MULTILINE)
    return {
        key: told
        for heading, told in pairwise(parts[1:])
        if heading.startswith("`")
        for key in re.findall(r"`([^`]+)`", heading)
    }


def test_the_page_says_what_the_models_say() -> None:
    assert with_keys(GUIDE) == GUIDE, "run `make stack-file`"


def test_a_description_that_changes_changes_the_page() -> None:
    changed = GUIDE.replace("WireGuard's UDP port on every node.", "A port.")
    assert changed != GUIDE
    assert with_keys(changed) == GUIDE


def test_every_key_is_described_and_no_other() -> None:
    assert sorted(key for key, _ in FIELDS) == sorted(_sections())


@pytest.mark.parametrize(("key", "field"), FIELDS, ids=[key for key, _ in FIELDS])
def test_a_key_has_type_default_and_example_and_says_what_a_change_does(key: str, field: FieldInfo) -> None:
    told = _sections()[key]
    if "As under [`defaults`]" in told:
        assert key.removeprefix("nodes.<name>.") in {name.removeprefix("defaults.") for name in _sections()}
        return
    assert re.match(r"\nType: [^.]+\. (Required|Default: .+)\.", told)
    assert ("Required." in told) == field.is_required()
    assert "Default: `" in told or "Example: " in told
    assert "\n**Changed later:** " in told


@pytest.mark.parametrize(("key", "field"), FIELDS, ids=[key for key, _ in FIELDS])
def test_the_defaults_are_those_of_the_guide(key: str, field: FieldInfo) -> None:
    said = re.search(r"Default: (.+?)\.(?: |\n)", _sections()[key])
    if said is None:
        return
    known = {True: "true", False: "false", (): "[]", Ssh().from_: "everywhere", None: "none"}
    if key == "nodes.<name>.protect":
        assert said[1] == "`protect` of the mesh"
        return
    words = {(type(value), value): word for value, word in known.items()}
    assert said[1].strip("`") == words.get((type(field.default), field.default), str(field.default))


@pytest.mark.parametrize(("key", "field"), FIELDS, ids=[key for key, _ in FIELDS])
def test_every_example_is_accepted(key: str, field: FieldInfo) -> None:
    for example in field.examples or ():
        if "AAAA..." in example:  # cut, as keys in guides are
            continue
        mesh: dict[str, Any] = {
            "cidr": "10.10.0.0/24",
            "cidr6": "fd1a:2b3c:4d5e::/64",
            "nodes": {
                "web-1": {"address": "10.10.0.1", "groups": ["web"]},
                "db-1": {"address": "10.10.0.2", "groups": ["db"]},
            },
            "policy": [{"from": ["web"], "to": ["db"], "allow": ["all"]}],
            "policyTests": [{"from": "web", "to": "db", "port": "tcp/1", "expect": "allow"}],
        }
        if key.startswith("nodes.") and key.rpartition(".")[2] in STATIC:
            mesh["nodes"]["web-1"] |= {"provider": "static", "host": "203.0.113.9", "hostKey": HOST_KEY}
        if key in {"defaults.network", "nodes.<name>.networkAddress"}:
            mesh["networks"] = {"backbone": {"cidr": "10.0.0.0/16"}}
            mesh["nodes"]["web-1"] = {"address": "10.10.0.12", "groups": ["web"], "network": "backbone"}
        if key.startswith("clients."):
            mesh["nodes"]["bastion"] = {"address": "10.10.0.3"}
            mesh["clients"] = {"laptop": {"address": "10.10.0.200", "to": ["web-1"]}}
        if key == "nodes.<name>.generation":
            mesh["rotation"] = {}
        owner: Any = mesh
        for part in (
            key.replace("clients.<name>", "clients.laptop")
            .replace("<name>", "web-1")
            .replace("[]", ".0")
            .split(".")[:-1]
        ):
            owner = owner[int(part)] if part.isdigit() else owner.setdefault(part, {})
        if key == "nodes.<name>.relay":  # only behind NAT, and of IPv4 alone
            owner["endpoint"] = "none"
            del mesh["cidr6"]
        if key == "nodes.<name>.egress":  # only without a public IPv4 address
            owner.update({"publicIpv4": False, "publicIpv6": True})
        owner[key.rpartition(".")[2]] = yaml.safe_load(example)
        parse_settings(mesh, kinds=KINDS)


def _mesh(path: Path) -> Any:
    return yaml.safe_load(path.read_text())["config"]["wireguard-mesh:mesh"]


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.name)
def test_every_stack_file_is_accepted_and_its_policy_tests_hold(path: Path) -> None:
    plan_mesh(parse_settings(_mesh(path)))


def test_there_is_an_example_for_each_kind_of_environment() -> None:
    names = {path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in STACKS}
    assert names >= {"lab", "dev.example", "staging.example", "prod.example", "pr.example"}
    prod = parse_settings(_mesh(REPOSITORY / "stacks" / "Pulumi.prod.example.yaml"))
    assert prod.rollout.canary in prod.nodes
    assert prod.policy_tests
    assert prod.protect


def test_environments_do_not_share_a_network() -> None:
    networks = [parse_settings(_mesh(path)).cidr for path in STACKS if "example" in path.name]
    assert len(set(networks)) == len(networks)


def test_no_stack_file_holds_a_token_of_a_real_cloud() -> None:
    for path in STACKS:
        config = yaml.safe_load(path.read_text())["config"]
        assert "hcloud:token" not in config or config["hcloud:endpoint"].startswith("http://127.0.0.1:")


def test_the_guides_example_is_a_stack_file() -> None:
    (block,) = re.findall(r"```yaml\n(config:.*?)```", GUIDE, re.DOTALL)
    mesh = yaml.safe_load(block)["config"]["wireguard-mesh:mesh"]
    mesh["ssh"].pop("authorizedKeys")  # cut, as keys in guides are
    plan_mesh(parse_settings(mesh))
