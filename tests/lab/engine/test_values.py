"""Values, paths, diffs: what the engine's decisions are made of."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.engine.deploy.diffs import inverted, triggers, with_replace_on_changes
from lab.engine.deploy.paths import contains, parse_path, reset
from lab.engine.deploy.secrecy import mark_outputs
from lab.engine.display.changes import compare
from lab.engine.display.printer import Printer
from lab.engine.provider import DiffKind, DiffResult, PropertyDiff
from lab.engine.values import (
    UNKNOWN,
    Archive,
    Asset,
    ResourceReference,
    Secret,
    contains_secret,
    contains_unknown,
    from_json,
    from_wire,
    plain,
    same,
    to_json,
    to_wire,
)

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False),
    st.text(), st.just(UNKNOWN), st.builds(Asset.of, sha256=st.just(""), text=st.text()),
    st.builds(Archive, sha256=st.text("0123456789abcdef", min_size=9), path=st.text(min_size=1)),
    st.builds(ResourceReference, urn=st.text(min_size=1), id=st.sampled_from([None, "id", UNKNOWN])),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3), st.builds(Secret, inner)
    ),
    max_leaves=8,
)


def flat(value: Any) -> Any:
    """A secret of a secret is one secret; numbers have one kind on the wire."""
    if isinstance(value, Secret):
        inner = flat(value.value)
        return inner if isinstance(inner, Secret) else Secret(inner)
    if isinstance(value, dict):
        return {name: flat(item) for name, item in value.items()}
    if isinstance(value, list):
        return [flat(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@given(st.dictionaries(st.text(), VALUES, max_size=3))
def test_values_cross_the_wire_as_they_are(values: dict[str, Any]) -> None:
    assert same(from_wire(to_wire(values)), flat(values))
    assert not contains_secret(from_wire(to_wire(values, keep_secrets=False)))


@given(VALUES)
def test_values_are_stored_and_read_as_they_are(value: Any) -> None:
    sealed: list[Secret] = []

    def seal(secret: Secret) -> dict[str, Any]:
        sealed.append(secret)
        return {"ciphertext": len(sealed) - 1}

    stored = to_json(flat(value), seal)
    assert same(from_json(stored, lambda one: sealed[one["ciphertext"]]), flat(value))
    assert contains_secret(value) == bool(sealed)


def test_equality_knows_kinds_and_marks() -> None:
    assert same({"a": [1, Secret("x")]}, {"a": [1, Secret("x")]})
    pairs: list[tuple[Any, Any]] = [
        (1, True),
        (0, None),
        ("", None),
        (Secret(1), 1),
        ({"a": None}, {}),
        ([1], [1, 1]),
    ]
    for one, other in pairs:
        assert not same(one, other)
    assert same(Asset.of(sha256="", text="a"), Asset.of(sha256="", text="a"))
    assert not same(Asset.of(sha256="", text="a"), Archive(sha256=Asset.of(sha256="", text="a").sha256))


def test_unknowns_and_secrets_are_found_anywhere_and_marks_come_off() -> None:
    value = {"a": [{"b": Secret({"c": UNKNOWN})}]}
    assert contains_unknown(value)
    assert contains_secret(value)
    assert plain(value) == {"a": [{"b": {"c": UNKNOWN}}]}
    assert "hush" not in repr(Secret("hush"))


def test_an_output_is_secret_like_the_input_of_its_name_at_any_depth() -> None:
    outputs = mark_outputs(
        {"a": {"b": 1, "c": 2}, "list": [1, 2], "more": 3, "other": 4},
        {"a": {"b": Secret(9)}, "list": [1, Secret(9)]},
        ["more"],
    )
    assert outputs == {"a": {"b": Secret(1), "c": 2}, "list": [1, Secret(2)], "more": Secret(3), "other": 4}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ["a"]),
        ("a.b[0].c", ["a", "b", 0, "c"]),
        ('a["b.c d"]', ["a", "b.c d"]),
        ('["a\\"b"]', ['a"b']),
        ("a[*].b", ["a", "*", "b"]),
        ("a.*", ["a", "*"]),
        ("foo-bar.x", ["foo-bar", "x"]),
    ],
)
def test_paths_are_read(text: str, parts: list[str | int]) -> None:
    assert list(parse_path(text)) == parts


@pytest.mark.parametrize("text", ["a[", 'a["b', "a[x]", "a]"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a property path"):
        parse_path(text)


def test_a_star_contains_any_one_part() -> None:
    assert contains(parse_path("a[*].b"), parse_path("a[3].b.c"))
    assert not contains(parse_path("a.b"), parse_path("a"))
    assert contains(parse_path("*"), parse_path("anything[0]"))


@pytest.mark.parametrize(
    ("path", "old", "new", "found", "done"),
    [
        ("a", {"a": 1}, {"a": 2}, {"a": 1}, True),
        ("a", {"a": 1}, {}, {"a": 1}, True),
        ("a", {}, {"a": 2}, {}, True),
        ("a", {}, {"a": UNKNOWN}, {}, True),
        ("a.b", {"a": {"b": 1}}, {"a": {"b": 2, "c": 2}}, {"a": {"b": 1, "c": 2}}, True),
        ("a.b", {"a": {"b": 1}}, {}, {}, False),
        ("a.b", {}, {}, {}, True),
        ("a[1]", {"a": [1, 1]}, {"a": [2, 2]}, {"a": [2, 1]}, True),
        ("a[1]", {"a": [1, 1]}, {"a": [2]}, {"a": [2]}, False),
        ("a[1]", {"a": [1]}, {"a": [2, 2]}, {"a": [2, 2]}, False),
        ("a[*]", {"a": [1, 1]}, {"a": [2, 2]}, {"a": [1, 1]}, True),
        ("a[*]", {"a": [1, 1]}, {"a": [2]}, {"a": [1]}, False),
        ("a[*].b", {"a": [{"b": 1}]}, {"a": [{"b": 2, "c": 2}]}, {"a": [{"b": 1, "c": 2}]}, True),
        ("a.*", {"a": {"b": 1}}, {"a": {"b": 2, "c": 2}}, {"a": {"b": 1}}, True),
        ("a", {"a": Secret(1)}, {"a": 2}, {"a": Secret(1)}, True),
        ("a.b", {"a": Secret({"b": 1})}, {"a": {"b": 2}}, {"a": {"b": Secret(1)}}, True),
        ("a.b", {"a": {"b": 1}}, {"a": Secret({"b": 2})}, {"a": Secret({"b": 1})}, True),
    ],
)
def test_ignored_changes_are_undone(path: str, old: Any, new: Any, found: Any, done: bool) -> None:  # noqa: FBT001
    result, fine = reset(old, new, parse_path(path))
    assert (same(result, found), fine) == (True, done), result


def test_a_trigger_replaces_when_it_changes_or_is_unknown_only() -> None:
    assert triggers(1, 2)
    assert triggers(1, UNKNOWN)
    assert not triggers(1, 1)
    assert not triggers(None, 1)
    assert not triggers(1, None)


def test_replace_on_changes_turns_changes_into_replacements() -> None:
    update = PropertyDiff(kind=DiffKind.UPDATE)
    diff = DiffResult(changes=True, diffs=["a", "b"], detailed={"a.x": update, "b": update})
    found = with_replace_on_changes(diff, ["a"], failed_before=False)
    assert found.replaces == ["a"]
    assert found.detailed == {"a.x": PropertyDiff(kind=DiffKind.UPDATE_REPLACE), "b": update}
    assert with_replace_on_changes(DiffResult(changes=False), ["a"], failed_before=False).replaces == ()
    assert with_replace_on_changes(DiffResult(changes=False), ["*"], failed_before=True).replaces == [
        "#initerror"
    ]


def test_a_refresh_sees_a_difference_from_the_other_side() -> None:
    diff = DiffResult(changes=True, detailed={"a": PropertyDiff(kind=DiffKind.ADD_REPLACE)})
    assert inverted(diff).detailed == {"a": PropertyDiff(kind=DiffKind.DELETE_REPLACE)}


def test_a_block_among_lines_that_repeat_begins_with_its_own_first_line() -> None:
    old = "# a\nPeer\nalive\n# c\nPeer\nalive\n"
    new = "# a\nPeer\nalive\n# b\nPeer\nalive\n# c\nPeer\nalive\n"
    change = compare({"text": old}, {"text": new})
    assert change is not None
    assert change.object is not None
    lines = Printer(indent=1).changes(change.object).splitlines()
    assert [line.strip() for line in lines if "+" in line] == ["+ # b", "+ Peer", "+ alive"]
