"""Remedies that are applied literally: to a copy, at their place, and only when fewer mistakes are left."""

from collections.abc import Sequence
from typing import Any

import pytest

from mesh.settings import Instead, Problem
from mesh.settings.problems import REMOVED, another_key, another_value, show
from mesh.settings.remedies import mended, proven


def test_a_value_is_written_at_its_place_and_nowhere_else() -> None:
    raw = {"nodes": {"web-1": {"public": ["tcp/80", "x"]}, "db-1": {}}}
    changed = mended(raw, ("nodes", "web-1", "public", 1), Instead("value", "tcp/443"))
    assert changed == {"nodes": {"web-1": {"public": ["tcp/80", "tcp/443"]}, "db-1": {}}}
    assert raw == {"nodes": {"web-1": {"public": ["tcp/80", "x"]}, "db-1": {}}}


def test_what_is_to_be_taken_out_is_gone() -> None:
    assert mended({"a": [1, 2, 3], "b": 4}, ("a", 1), REMOVED) == {"a": [1, 3], "b": 4}
    assert mended({"a": [1], "b": 4}, ("b",), REMOVED) == {"a": [1]}


def test_a_key_gets_another_name_and_keeps_its_line() -> None:
    raw = {"cidr": "x", "nodse": {"web-1": {}}, "port": 1}
    changed = mended(raw, ("nodse",), Instead("key", "nodes"))
    assert list(changed.items()) == [("cidr", "x"), ("nodes", {"web-1": {}}), ("port", 1)]
    assert list(raw) == ["cidr", "nodse", "port"]


def test_the_whole_mesh_can_be_written_anew_and_is_never_taken_out() -> None:
    assert mended([1], (), Instead("value", {"cidr": "x"})) == {"cidr": "x"}
    assert mended({"a": 1}, (), REMOVED) == {"a": 1}


@pytest.mark.parametrize("place", [("b",), ("a", 3), ("b", "c")])
def test_a_place_that_is_not_there_is_an_error(place: tuple[int | str, ...]) -> None:
    with pytest.raises(LookupError):
        mended({"a": [1]}, place, REMOVED)


def _problem(place: tuple[int | str, ...] | None, *instead: Instead) -> Problem:
    return Problem(path="mesh", message=str(place), place=place, instead=instead)


def _wrong(raw: Any) -> Sequence[Problem]:
    """In this mesh every value must be 1."""
    return [_problem((key,)) for key, value in raw.items() if value != 1]


def test_a_remedy_is_offered_when_it_leaves_fewer_mistakes_and_not_otherwise() -> None:
    raw = {"a": 2, "b": 3}
    good, useless = another_value(1, 5)
    found = [_problem(("a",), useless, good, REMOVED), _problem(None, good), _problem(("b",), useless)]
    # a problem without a place counts as well
    proved = list(proven(raw, found, lambda mesh: [*_wrong(mesh), _problem(None)]))
    assert [problem.instead for problem in proved] == [(good, REMOVED), (), ()]
    assert [problem.place for problem in proved] == [("a",), None, ("b",)]
    assert [problem.message for problem in proved] == [problem.message for problem in found]


def test_the_remedies_of_fifty_mistakes_are_tried_and_no_more() -> None:
    raw = {f"k{number}": 2 for number in range(52)}
    found = [_problem((key,), *another_value(1)) for key in raw]
    offered = [bool(problem.instead) for problem in proven(raw, found, _wrong)]
    assert offered == [True] * 50 + [False] * 2


def test_a_key_is_offered_as_a_key_and_a_secret_is_never_offered() -> None:
    assert another_key("nodes", "port") == (Instead("key", "nodes"), Instead("key", "port"))
    assert another_value("yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=", "x") == (Instead("value", "x"),)


def test_a_refused_value_is_shown_up_to_its_sixtieth_character() -> None:
    assert show("x" * 60) == repr("x" * 60)
    assert show("x" * 61) == repr("x" * 60 + "...")
