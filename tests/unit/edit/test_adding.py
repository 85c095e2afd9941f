"""A node more: where, how it is written, with which address; and nothing else in the file changes."""

from pathlib import Path
from typing import Any

import pytest

from mesh.edit.document import parse
from mesh.edit.errors import EditError
from tests.unit.edit.stackfiles import (
    LAYOUTS,
    add,
    added_lines,
    check_of,
    nodes,
    remove,
    right,
    text_of,
    wrong,
)

# layouts in which an entry more cannot be a line of its own, or needs a comma or an end of line before it
_SHARED_LINE = {"one-line.yaml", "json.yaml"}
_NO_END = {"windows.yaml", "marked.yaml"}


def _named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: f"{path.parent.name}/{path.name}")


@_named(right())
def test_a_node_that_comes_and_goes_leaves_every_byte_as_it_was(path: Path) -> None:
    before = text_of(path)
    _comes_and_goes(path, f"{next(iter(nodes(before))).rstrip('0123456789')}7", list(nodes(before))[-1])


@pytest.mark.long
@_named(right())
def test_any_node_like_any_other_comes_and_goes(path: Path) -> None:
    before = text_of(path)
    for name in (*(f"{node.rstrip('0123456789')}7" for node in nodes(before)), "zebra", "on"):
        for like in (None, *nodes(before)):
            _comes_and_goes(path, name, like)


def _comes_and_goes(path: Path, name: str, like: str | None) -> None:
    before, check = text_of(path), check_of(path)
    after = add(before, name, check, like)
    assert {*nodes(after)} == {*nodes(before), name}
    new, gone = added_lines(before, after)
    if path.name not in _SHARED_LINE | _NO_END:
        assert new
        assert not gone
    assert remove(after, name, check) == before


@pytest.mark.long
@_named(wrong())
def test_a_file_with_mistakes_is_not_edited(path: Path) -> None:
    refused_elsewhere = {"34", "53", "55", "83", "89"}  # by the engine, the cloud, or by nobody
    if path.name[:2] in refused_elsewhere:
        assert remove(add(text_of(path), "web-9"), "web-9") == text_of(path)
        return
    with pytest.raises(EditError):
        add(text_of(path), "web-9")


@pytest.mark.parametrize(
    ("layout", "name", "written"),
    [
        ("blocks", "web-3", "            web-3:\n                address: 10.10.0.3\n"),
        ("json", "web-3", '        "web-3": {"address":"10.10.0.3"},\n'),
        ("braces", "web-3", "      web-3:  {address: 10.10.0.3},\n"),
        ("windows", "web-3", "      web-3:\r\n        address: 10.10.0.4\r\n"),
        ("aligned", "web-3", "      web-3:      {address: 10.10.0.3}\n"),
        ("aligned", "database-10", "      database-10: {address: 10.10.0.12}\n"),
        ("anchors", "web-3", "      web-3: {address: 10.10.0.3}\n"),
    ],
)
def test_it_is_written_like_its_neighbours_and_behind_them(layout: str, name: str, written: str) -> None:
    before = text_of(_layout(layout))
    new, _ = added_lines(before, after := add(before, name))
    assert "".join(new) == written
    relative = [node for node in nodes(before) if node[:3] == name[:3]][-1]
    order = list(nodes(after))
    assert order.index(name) == order.index(relative) + 1


def test_settings_and_lists_look_as_those_of_its_model() -> None:
    new, _ = added_lines(text := text_of(_layout("blocks")), add(text, "web-9", like="web-1", image="123"))
    assert "".join(new) == (
        "            web-9:\n"
        "                address: 10.10.0.3\n"
        "                groups:\n"
        "                - web\n"
        "                - eu\n"
        "                public:\n"
        "                    - tcp/80\n"
        "                    - tcp/443\n"
        '                image: "123"\n'
    )


def test_a_model_gives_neither_its_address_nor_that_it_is_off() -> None:
    text = _mesh("web-1: {address: 10.10.0.1, enabled: false, groups: [web]}")
    assert nodes(add(text, "web-2", like="web-1"))["web-2"] == {"address": "10.10.0.2", "groups": ["web"]}


@pytest.mark.parametrize(
    ("given", "name", "address"),
    [
        ({"web-1": 1, "web-2": 2, "db-1": 3}, "web-3", 4),  # above its relatives, and past what is used
        ({"web-1": 1, "web-3": 3, "db-1": 11}, "web-2", 4),  # never one that a relative may have had
        ({"web-1": 1, "db-1": 3}, "mon-1", 4),  # no relatives: above all
        ({"web-1": 13, "web-2": 14, "db-1": 1}, "web-3", 2),  # none is free above
        ({"web-1": 14}, "mon-1", 1),
        ({"a1": 1, "a2": 2}, "a3", 3),
        ({"web": 5, "db-1": 9}, "web-2", 6),
    ],
)
def test_it_gets_the_next_free_address(given: dict[str, int], name: str, address: int) -> None:
    text = _mesh(
        *(f"{node}: {{address: 10.10.0.{last}}}" for node, last in given.items()), cidr="10.10.0.0/28"
    )
    assert nodes(add(text, name))[name] == {"address": f"10.10.0.{address}"}


def test_a_full_network_is_said_to_be_full() -> None:
    text = _mesh(*(f"n-{last}: {{address: 10.10.0.{last}}}" for last in range(1, 7)), cidr="10.10.0.0/29")
    with pytest.raises(EditError, match=r"10\.10\.0\.0/29 is full: all 6 addresses.*widen the network"):
        add(text, "n-7")


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("web-1", {}, r"web-1 is already a node of this mesh \(line 5\)"),
        ("Web-2", {}, "write web-2"),
        ("web-2", {"address": "10.10.1.1"}, "mesh.nodes.web-2.address: 10.10.1.1 is outside"),
        ("web-2", {"address": "10.10.0.1"}, "already the address of web-1"),
        ("web-2", {"address": "nine"}, "is not an IPv4 address"),
        ("web-2", {"public": ["tcp/22"]}, "mesh.nodes.web-2.public"),
        ("web-2", {"provider": "hetzer"}, "did you mean hetzner"),
        ("web-2", {"groups": ["all"]}, "means every node"),
        ("web-2", {"like": "web-9"}, "'web-9' is not a node of this mesh; it has web-1"),
    ],
)
def test_what_the_program_would_refuse_is_refused_before_the_file_is_written(
    name: str, settings: dict[str, Any], said: str
) -> None:
    like = settings.pop("like", None)
    with pytest.raises(EditError, match=said):
        add(_mesh("web-1: {address: 10.10.0.1}"), name, like=like, **settings)


def test_a_file_that_is_wrong_before_is_said_to_be() -> None:
    text = _mesh("web-1: {address: 10.10.9.1}")
    with pytest.raises(
        EditError, match=r"(?s)nothing was changed, because the stack file has 1 mistake:.*first"
    ):
        add(text, "web-2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("config: {a:mesh: {nodes: {}}, b:mesh: {}}\n", "is not known; it has a:mesh, b:mesh"),
        ('config: {a:mesh: \'{"cidr": "10.10.0.0/24"}\'}\n', "config.a:mesh is not a mapping"),
        ("mesh: {}\n", "has no mapping `config:`"),
        ("", "has no mapping `config:`"),
        ("a: &a [*a]\n", "contains itself"),
        ("config:\n  x:mesh: {cidr: 1\n", "not valid YAML: line 3"),
        ("config: {x:mesh: {}, t: hidden-1, t: hidden-2}\n", "the key t is given twice"),
        ("config: {x:mesh: {}}\n---\nconfig: {}\n", "not valid YAML: line 2"),
    ],
)
def test_what_is_no_stack_file_is_named_and_never_shown(text: str, said: str) -> None:
    with pytest.raises(EditError) as refused:
        add(text, "web-1")
    assert said in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_nodes_that_are_an_alias_are_left_to_their_author() -> None:
    text = (
        "nodes: &nodes\n  web-1: {address: 10.10.0.1}\n"
        "config:\n  x:mesh:\n    cidr: 10.10.0.0/24\n    nodes: *nodes\n"
    )
    with pytest.raises(EditError, match=r"line 6: nodes is an alias .* edit the file by hand"):
        add(text, "web-2")


def test_a_model_in_an_anchor_that_others_use_is_not_changed_for_them() -> None:
    text = text_of(_layout("anchors"))
    with pytest.raises(EditError, match="by hand"):
        remove(text, "web-1")  # web-2 is made of it


def test_a_value_that_pulumi_has_encrypted_is_not_judged() -> None:
    text = _mesh("web-1: {address: 10.10.0.1}", more="ssh: {authorizedKeys: [{secure: AAAB}]}")
    assert "web-2: {address: 10.10.0.2}" in add(text, "web-2")


def test_the_mesh_in_the_file_is_named_by_project_or_key() -> None:
    text = _mesh("web-1: {address: 10.10.0.1}")
    assert parse(text, project="x").key == "x:mesh"
    assert parse(text, key="x:mesh").key == "x:mesh"
    with pytest.raises(EditError, match="has no `y:mesh` under `config:`; it has x:mesh"):
        parse(text, project="y")


def _layout(name: str) -> Path:
    return next(path for path in LAYOUTS if path.stem == name)


def _mesh(*given: str, cidr: str = "10.10.0.0/24", more: str = "port: 51820") -> str:
    lines = "".join(f"      {node}\n" for node in given)
    return f"config:\n  x:mesh:\n    cidr: {cidr}\n    nodes:\n{lines}    {more}\n"


def test_a_new_node_in_both_families_has_its_own_host_part() -> None:
    """An IPv4 address is passed over whose host part another node has in IPv6."""
    text = (
        "config:\n  wireguard-mesh:mesh:\n    cidr: 10.10.0.0/24\n    cidr6: fd00:10::/64\n    nodes:\n"
        "      web-1: {address: 10.10.0.1, address6: 'fd00:10::2'}\n"
    )
    after = add(text, "web-2", like="web-1")
    assert added_lines(text, after) == (["      web-2: {address: 10.10.0.3}\n"], [])


def test_a_new_node_passes_over_the_addresses_of_clients() -> None:
    text = _mesh(
        "web-1: {address: 10.10.0.1}",
        more="clients: {laptop: {address: 10.10.0.2, to: [web-1]}, phone: {address: 10.10.0.9, to: [web-1]}}",
    )
    assert nodes(add(text, "web-2"))["web-2"] == {"address": "10.10.0.3"}
    assert nodes(add(text, "db-1"))["db-1"] == {"address": "10.10.0.3"}
