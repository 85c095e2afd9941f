"""docs/stack-file.md and stacks/ are true: every key is described, every example is a stack file."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh.plan import plan_mesh
from mesh.program import KINDS
from mesh.settings import PolicyRule, PolicyTest, Rollout, Settings, Ssh, parse_settings
from mesh.settings.machines import MachineModels

REPOSITORY = Path(__file__).parents[3]
GUIDE = (REPOSITORY / "docs" / "stack-file.md").read_text()
STACKS = sorted((REPOSITORY / "stacks").glob("Pulumi.*.yaml"))
MODELS = MachineModels(KINDS)
SECTIONS: dict[str, Any] = {
    "ssh": Ssh,
    "defaults": MODELS.defaults,
    "nodes.<name>": MODELS.node({}),
    "policy[]": PolicyRule,
    "policyTests[]": PolicyTest,
    "rollout": Rollout,
}


def _keys() -> Iterator[str]:
    sections = {name.split(".")[0].removesuffix("[]") for name in SECTIONS}
    for prefix, model in [("", Settings), *((f"{name}.", model) for name, model in SECTIONS.items())]:
        for name, field in model.model_fields.items():
            key = field.alias or name
            if prefix or key not in sections:
                yield prefix + key


def _rows() -> dict[str, list[str]]:
    """The rows of the tables by the keys in their first cell."""
    rows = {}
    for line in GUIDE.splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            for key in re.findall(r"`([^`]+)`", cells[0]):
                rows[key] = cells
    return rows


def test_every_key_is_described_and_no_other() -> None:
    assert set(_keys()) == set(_rows())


@pytest.mark.parametrize(
    ("section", "model"), [("", Settings), *((f"{name}.", model) for name, model in SECTIONS.items())]
)
def test_the_defaults_are_those_of_the_guide(section: str, model: Any) -> None:
    rows = _rows()
    for name, field in model.model_fields.items():
        cells = rows.get(section + (field.alias or name))
        if cells is None or field.is_required() or cells[2] == "`defaults`":
            assert cells is None or (cells[2] == "required") == field.is_required()
            continue
        said = {"everywhere": Ssh().from_, "none": None}.get(cells[2], cells[2].strip("`"))
        known = field.default
        if isinstance(said, str):
            known = {True: "true", False: "false", (): "[]"}.get(known, str(known))
        assert said == known, name


def _mesh(path: Path) -> Any:
    return yaml.safe_load(path.read_text())["config"]["wireguard-mesh:mesh"]


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.name)
def test_every_stack_file_is_accepted_and_its_policy_tests_hold(path: Path) -> None:
    plan_mesh(parse_settings(_mesh(path)))


def test_there_is_an_example_for_each_kind_of_environment() -> None:
    names = {path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in STACKS}
    assert names >= {"lab", "dev.example", "staging.example", "prod.example"}
    prod = parse_settings(_mesh(REPOSITORY / "stacks" / "Pulumi.prod.example.yaml"))
    assert prod.rollout.canary in prod.nodes
    assert prod.policy_tests


def test_environments_do_not_share_a_network() -> None:
    networks = [parse_settings(_mesh(path)).cidr for path in STACKS if "example" in path.name]
    assert len(set(networks)) == len(networks)


def test_no_stack_file_holds_a_token_of_a_real_cloud() -> None:
    for path in STACKS:
        config = yaml.safe_load(path.read_text())["config"]
        assert "hcloud:token" not in config or config["hcloud:endpoint"].startswith("http://127.0.0.1:")


def test_the_guides_example_is_a_stack_file() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    mesh = yaml.safe_load(block)["config"]["wireguard-mesh:mesh"]
    mesh["ssh"].pop("authorizedKeys")  # cut, as keys in guides are
    plan_mesh(parse_settings(mesh))
