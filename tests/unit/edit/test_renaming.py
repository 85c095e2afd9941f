"""A node gets another name: everywhere in the file, and nowhere else."""

import re
from pathlib import Path

import pytest

from mesh.edit.document import parse
from mesh.edit.errors import EditError
from mesh.edit.renaming import rename_node
from tests.unit.edit.stackfiles import CHECK, LAYOUTS, added_lines, nodes, text_of

_WHOLE = """config:
  x:mesh:
    cidr: 10.10.0.0/24
    nodes:
      'web-1': {address: 10.10.0.1, groups: [web]}   # web-1 is the first
      web-2:
        address: 10.10.0.2
        # not web-1
        formerly:
          - www   # once
      db-1: {address: 10.10.0.11, formerly: [store, "data"], groups: [web]}
    policy:
      - {from: [web, 'web-1'], to: [db-1, "web-1"], allow: [tcp/5432]}
      - from:
          - web-1 # the first
        to: [db-1]
        allow: [tcp/9100]
    policyTests:
      - {from: web-1, to: db-1, port: tcp/9100, expect: allow}
    rollout: {canary: web-1}
"""


def rename(text: str, old: str, new: str) -> str:
    return rename_node(parse(text), old, new, CHECK).after.text


def test_a_name_is_changed_wherever_it_stands_for_the_node() -> None:
    after = rename(_WHOLE, "web-1", "front")
    new, gone = added_lines(_WHOLE, after)
    assert "".join(new) == (
        "      'front': {address: 10.10.0.1, groups: [web], 'formerly': ['web-1']}   # web-1 is the first\n"
        "      - {from: [web, 'front'], to: [db-1, \"front\"], allow: [tcp/5432]}\n"
        "          - front # the first\n"
        "      - {from: front, to: db-1, port: tcp/9100, expect: allow}\n"
        "    rollout: {canary: front}\n"
    )
    assert len(gone) == len(new)


def test_links_name_the_node_by_its_new_name() -> None:
    links = "    links:\n      - [db-1, web-1]  # web-1\n      - ['web-1', web]\n      - [all, db-1]\n"
    after = rename(_WHOLE + links, "web-1", "front")
    assert after.endswith(
        "    links:\n      - [db-1, front]  # web-1\n      - ['front', web]\n      - [all, db-1]\n"
    )


def test_a_node_that_gives_egress_is_named_by_its_new_name() -> None:
    six = "      six: {address: 10.10.0.31, publicIpv4: false, publicIpv6: true, egress: 'web-1'} # web-1\n"
    both = "    defaults: {publicIpv6: true}\n"
    whole = _WHOLE.replace("    policy:\n", f"{six}{both}    policy:\n", 1)
    after = rename(whole, "web-1", "front")
    assert six.replace("'web-1'", "'front'") in after
    assert nodes(after)["six"]["egress"] == "front"


def test_names_before_are_kept_the_oldest_first_in_a_list_of_any_look() -> None:
    new, _ = added_lines(_WHOLE, rename(_WHOLE, "web-2", "front"))
    assert "".join(new) == "      front:\n          - web-2\n"
    after = rename(_WHOLE, "db-1", "front")
    assert '      front: {address: 10.10.0.11, formerly: [store, "data", db-1], groups: [web]}\n' in after


def test_the_way_back_keeps_the_oldest_name_first() -> None:
    there = rename(_WHOLE, "db-1", "front")
    back = rename(there, "front", "db-1")
    assert nodes(back)["db-1"]["formerly"] == ["store", "data", "db-1", "front"]
    assert nodes(rename(back, "db-1", "front"))["front"]["formerly"] == ["store", "data", "db-1", "front"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("web-1", "web-1", "web-1 has this name already"),
        ("web-1", "db-1", r"db-1 is the name of another node \(line 11\); choose another name"),
        ("web-1", "store", r"mesh.nodes.db-1.formerly\[0\]: store is the name of another node"),
        ("web-1", "web", "web is the name of a node; give the group another name"),
        ("web-1", "Front", "write front"),
        ("web-9", "front", "'web-9' is not a node of this mesh; it has web-1, web-2, db-1"),
    ],
)
def test_a_name_that_is_taken_or_is_none_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(EditError, match=said):
        rename(_WHOLE, old, new)


@pytest.mark.parametrize("path", LAYOUTS, ids=lambda path: str(path.name))
def test_every_layout_stays_as_it_is_around_the_name(path: Path) -> None:
    text = text_of(path)
    old = list(nodes(text))[-1]
    after = rename_node(parse(text), old, "zebra", CHECK).after.text
    assert nodes(after)["zebra"] == {**nodes(text)[old], "formerly": [old]}
    remembered = rf"""(, |\r?\n +)"?formerly"?: ?\["?{old}"?\]"""
    assert re.sub(remembered, "", after).replace("zebra", old) == text
