"""Two stacks in one project never get in each other's way: what is taken is told before anything is made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.names import MeshNames
from mesh.program.machines.hetzner.neighbours import is_of, owner, taken

OURS = {"wireguard-mesh/stack": "pr"}
FIRST = MeshNames("mesh")


def _taken(node: str, name: str, there: dict[str, dict[str, str]]) -> list[str]:
    return [str(problem) for problem in taken({node: name}, there, "pr", FIRST)]


def test_a_name_that_another_stack_comes_to_is_refused_at_its_node() -> None:
    there = {"pr-1-web": {"wireguard-mesh/stack": "pr-1", "wireguard-mesh/node": "web"}}
    (said,) = _taken("1-web", "pr-1-web", there)
    assert said == (
        "mesh.nodes.1-web: the server would be called pr-1-web, and the cloud already has the server "
        "pr-1-web, which belongs to the stack pr-1; give the node another name, or rename the stack: `pulumi "
        "stack rename`"
    )


@pytest.mark.parametrize(
    ("labels", "whose"),
    [
        ({}, "no stack"),
        ({"other": "x"}, "no stack"),
        ({"wireguard-mesh/stack": "pr", "wireguard-mesh/mesh": "office"}, "the mesh office of the stack pr"),
    ],
)
def test_whoever_has_the_name_is_named(labels: dict[str, str], whose: str) -> None:
    assert owner(labels) == whose
    assert f"belongs to {whose};" in _taken("web", "pr-web", {"pr-web": labels})[0]


def test_upper_case_makes_no_other_host_name() -> None:
    assert "the server PR-web" in _taken("web", "pr-web", {"PR-web": {"wireguard-mesh/stack": "PR"}})[0]


def test_what_is_ones_own_or_not_there_is_not_taken() -> None:
    assert _taken("web", "pr-web", {"pr-web": OURS, "pr-other": {}}) == []


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?", fullmatch=True)


@given(stacks=st.tuples(NAMES, NAMES), nodes=st.tuples(NAMES, NAMES), meshes=st.tuples(NAMES, NAMES))
def test_two_servers_of_one_name_are_always_noticed(
    stacks: tuple[str, str], nodes: tuple[str, str], meshes: tuple[str, str]
) -> None:
    first, second = (MeshNames(mesh) for mesh in meshes)
    labels = {"wireguard-mesh/stack": stacks[0]}
    if first.prefix:
        labels["wireguard-mesh/mesh"] = first.mesh
    there = {first.in_cloud(stacks[0], nodes[0]): labels}
    name = second.in_cloud(stacks[1], nodes[1])
    noticed = list(taken({nodes[1]: name}, there, stacks[1], second))
    mine = is_of(labels, stacks[1], second)
    assert bool(noticed) == (name in there and not mine)
    assert not mine or (stacks[0], meshes[0]) == (stacks[1], meshes[1])
