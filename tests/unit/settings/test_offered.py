"""What is offered instead of each mistake of a stack file: editors apply this literally, as a quick fix."""

import copy
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from mesh.program import KINDS
from mesh.settings import Instead, Problem, SettingsError, parse_settings
from mesh.settings.remedies import mended

HERE: Final = Path(__file__).parent


def problems_of(raw: object) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as error:
        parse_settings(raw, kinds=KINDS)
    return error.value.problems


def _words(remedy: Instead) -> object:
    """Return a remedy as `mistakes.yaml` has it."""
    return {"value": {"write": remedy.write}, "key": {"name": remedy.write}, "remove": "remove"}[remedy.kind]


_FILE: Final = yaml.safe_load((HERE / "mistakes.yaml").read_text())
MESH: Final[dict[str, Any]] = _FILE["mesh"]
MISTAKES: Final[list[dict[str, Any]]] = _FILE["mistakes"]


def _with(mistake: dict[str, Any]) -> dict[str, Any]:
    """Return the mesh with one mistake in it."""
    raw = copy.deepcopy(MESH)
    *owners, last = (int(part) if part.isdigit() else part for part in mistake["at"].split("."))
    owner: Any = raw
    for part in owners:
        owner = owner[part]
    if "write" in mistake:
        owner[last] = mistake["write"]
    else:
        del owner[last]
    return raw


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["at"])
def test_a_mistake_is_told_where_it_is_and_what_is_offered_helps(mistake: dict[str, Any]) -> None:
    raw = _with(mistake)
    found = problems_of(raw)
    assert [str(problem) for problem in found] == mistake["told"]
    offered = [[_words(remedy) for remedy in problem.instead] for problem in found]
    assert offered == mistake.get("offered", [[] for _ in found])
    if len(found) == 1:
        for remedy in found[0].instead:
            parse_settings(mended(raw, found[0].place or (), remedy), kinds=KINDS)


def test_the_mesh_without_a_mistake_is_right() -> None:
    assert parse_settings(MESH, kinds=KINDS).nodes.keys() == {"web-1", "db-1", "db-2"}


def test_a_node_is_told_an_example_where_no_network_says_which_addresses_are_free() -> None:
    node, _cidr = problems_of({"nodes": {"web-1": None}})
    assert str(node).endswith("null is not a mapping of keys and values; write {address: 10.10.0.1}")
    assert node.instead == ()
