"""Keys are rotated by numbers in the stack file: each is raised, or written where it is missing."""

from pathlib import Path

import pytest

from mesh.edit.document import parse
from mesh.edit.edit import Edit
from mesh.edit.errors import EditError
from mesh.edit.rotating import rotate_keys
from tests.unit.edit.stackfiles import LAYOUTS, added_lines, check_of, nodes, right, text_of

_WHOLE = """config:
  x:mesh:
    cidr: 10.10.0.0/24
    rotation:  # once a year
      # of all nodes
      generation: 3   # May
    nodes:
      web-1: {address: 10.10.0.1, groups: [web], generation: 2}   # the first
      web-2:
        address: 10.10.0.2
        groups: [web]   # as web-1
      db-1: {address: 10.10.0.11}
    clients:
      laptop: {address: 10.10.0.200, to: [web]}
      phone: {address: 10.10.0.201, to: [db-1]}
      lost: {address: 10.10.0.202, to: [all], enabled: false}
"""
_PLAIN = _WHOLE.replace(
    "    rotation:  # once a year\n      # of all nodes\n      generation: 3   # May\n", ""
).replace(", generation: 2", "")


def _rotate(text: str, *names: str, preshared: bool = False) -> Edit:
    return rotate_keys(parse(text), names, check_of(Path()), preshared=preshared)


def _lines(text: str, *names: str, preshared: bool = False) -> tuple[str, str]:
    """What is new, and what is gone."""
    new, gone = added_lines(text, _rotate(text, *names, preshared=preshared).after.text)
    return "".join(new), "".join(gone)


def test_without_names_the_number_of_all_nodes_rises() -> None:
    assert _lines(_WHOLE) == ("      generation: 4   # May\n", "      generation: 3   # May\n")


def test_nodes_that_are_named_have_numbers_of_their_own() -> None:
    new, gone = _lines(_WHOLE, "web-2", "web-1", "web-2")
    assert new == (
        "      web-1: {address: 10.10.0.1, groups: [web], generation: 3}   # the first\n"
        "        generation: 2\n"
    )
    assert gone == "      web-1: {address: 10.10.0.1, groups: [web], generation: 2}   # the first\n"


def test_pre_shared_keys_change_alone_or_beside_the_identity_of_a_node() -> None:
    assert _lines(_WHOLE, preshared=True) == ("      preshared: 2\n", "")
    new, _ = _lines(_WHOLE, "db-1", preshared=True)
    assert new == "      preshared: 2\n      db-1: {address: 10.10.0.11, generation: 2}\n"


def test_ssh_keys_change_alone_or_beside_others() -> None:
    def lines(*names: str, preshared: bool = False) -> str:
        edit = rotate_keys(parse(_WHOLE), names, check_of(Path()), preshared=preshared, ssh=True)
        return "".join(added_lines(_WHOLE, edit.after.text)[0])

    assert lines() == "      ssh: 2\n"
    assert lines("db-1") == "      ssh: 2\n      db-1: {address: 10.10.0.11, generation: 2}\n"
    assert lines(preshared=True) == "      preshared: 2\n      ssh: 2\n"
    alone = rotate_keys(parse(_WHOLE), (), check_of(Path()), preshared=False, ssh=True)
    assert [each.partition(":")[0] for each in alone.remarks] == ["SSH"]


def test_a_mesh_without_rotation_gets_it() -> None:
    assert _lines(_PLAIN) == ("    rotation: {generation: 2}\n", "")
    assert _lines(_PLAIN, preshared=True) == ("    rotation: {preshared: 2}\n", "")
    new, _ = _lines(_PLAIN, "db-1")
    assert new == "      db-1: {address: 10.10.0.11, generation: 2}\n    rotation: {}\n"
    assert _lines(f"{_PLAIN}    rotation: {{}}\n") == (
        "    rotation: {generation: 2}\n",
        "    rotation: {}\n",
    )


def test_it_can_be_done_again() -> None:
    once = _rotate(_PLAIN, "web-1").after.text
    again = _rotate(once, "web-1").after.text
    assert nodes(again)["web-1"]["generation"] == 3
    assert _rotate(_rotate(again).after.text).after.value["rotation"] == {"generation": 3}


def test_the_devices_whose_configuration_has_a_key_that_changes_are_named() -> None:
    def devices(*names: str, preshared: bool = False) -> list[str]:
        edit = _rotate(_WHOLE, *names, preshared=preshared)
        return [each.partition(":")[0] for each in edit.remarks if "mesh client" in each]

    assert devices("web-2") == ["laptop"]
    assert devices("db-1") == ["phone"]
    assert devices() == devices(preshared=True) == devices("db-1", preshared=True) == ["laptop, phone"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "every node: the next `pulumi up` makes another WireGuard identity"),
        (("web-1", "db-1"), "web-1, db-1: the next `pulumi up` makes another WireGuard identity"),
    ],
)
def test_it_says_which_keys_change_and_what_comes_next(names: tuple[str, ...], said: str) -> None:
    first, *_, last = _rotate(_WHOLE, *names).remarks
    assert first == said
    assert "`mesh settle` says what is left" in last


@pytest.mark.parametrize(
    ("text", "names", "said"),
    [
        (_WHOLE, ("web-9",), "'web-9' is not a node of this mesh; it has web-1, web-2, db-1"),
        (_WHOLE, ("db-1", "laptop"), "laptop is a client, and only keys of nodes are rotated"),
        (_WHOLE.replace("generation: 3", "generation: zero"), (), "nothing was changed, because"),
        (_WHOLE.replace("generation: 3", "generation: 0x3"), (), "line 6 has a layout .*: edit it by hand"),
        (_WHOLE.replace("generation: 3", "generation: &n 3"), (), "line 6 has a layout .*: edit it by hand"),
        (f"{_PLAIN}    rotation:\n", (), "mesh.rotation: null is not a mapping"),
        (
            f"{_PLAIN}    rotation: *r\n".replace("config:", "x: &r {generation: 5}\nconfig:"),
            (),
            "line 15: rotation is an alias",
        ),
    ],
)
def test_what_cannot_be_raised_is_refused(text: str, names: tuple[str, ...], said: str) -> None:
    with pytest.raises(EditError, match=said):
        _rotate(text, *names)


@pytest.mark.parametrize("path", right(), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_stack_file_stays_as_it_is_around_the_numbers(path: Path) -> None:
    text, check = text_of(path), check_of(path)
    before = parse(text)
    name = list(before.value["nodes"])[-1]
    after = rotate_keys(before, [name], check, preshared=True).after
    assert after.value["nodes"][name]["generation"] == 2
    assert after.value["rotation"] == {"preshared": 2}
    new, gone = added_lines(text, after.text)
    left = "".join(new)
    for written in (", generation: 2", ', "generation": 2', ", rotation: {preshared: 2}"):
        left = left.replace(written, "")
    kept = [line for line in left.splitlines() if "generation" not in line and "rotation" not in line]
    assert [line.rstrip(",") for line in kept] == [line.rstrip("\r\n").rstrip(",") for line in gone], path


@pytest.mark.parametrize("path", LAYOUTS, ids=lambda path: str(path.name))
def test_every_layout_takes_the_number_of_all_nodes(path: Path) -> None:
    text = text_of(path)
    after = _rotate(text).after
    assert after.value["rotation"] == {"generation": 2}
    assert after.text.count("\r\n") in {0, after.text.count("\n")}
    assert nodes(after.text) == nodes(text)
