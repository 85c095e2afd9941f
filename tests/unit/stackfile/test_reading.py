"""A stack file is read as Pulumi reads it, with the place of every value; no damage ends in a crash."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.program import KINDS
from mesh.stackfile.check import check_file
from mesh.stackfile.report import as_json, lines
from mesh.stackfile.scalars import octal, plain_value
from mesh.stackfile.syntax import NotYamlError
from mesh.stackfile.tree import read_yaml
from tests.examples import examples

STACK = (Path(__file__).parents[3] / "stacks" / "Pulumi.prod.example.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # what `pulumi config --json` gave, Pulumi 3.260
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("TRUE", True),
        ("True", True),
        ("tRUE", "tRUE"),
        ("~", None),
        ("Null", None),
        ("0777", 511),
        ("0o17", 15),
        ("0O7", 7),
        ("08", 8),
        ("-07", -7),
        ("0x10", 16),
        ("0XFF", 255),
        ("-0x10", -16),
        ("0b11", 3),
        ("1_000", 1000),
        ("1__0", 10),
        ("0_1", 1),
        ("+5", 5),
        ("1e3", 1000),
        ("12e03", 12000),
        ("1.", 1),
        (".5", 0.5),
        ("1.0", 1),
        ("010.1", 10.1),
        ("5e", "5e"),
        ("=", "="),
        ("1:30", "1:30"),
        ("99999999999999999999", 99999999999999999999),
        ("2026-01-01", "2026-01-01 00:00:00 +0000 UTC"),
        ("2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.1 -0500 -0500"),
        # what is no date, no number and no null
        ("2026-13-01", "2026-13-01"),
        ("10.10.0.1", "10.10.0.1"),
        ("10.10.0.0/24", "10.10.0.0/24"),
        ("::1", "::1"),
        ("0x", "0x"),
        ("_", "_"),
        ("-", "-"),
        (".", "."),
        ("NULL", None),
        ("none", "none"),
    ],
)
def test_a_plain_value_is_what_pulumi_takes_it_for(text: str, value: object) -> None:
    found = plain_value(text)
    assert (found, type(found)) == (value, type(value))


def test_numbers_without_end_are_numbers() -> None:
    assert plain_value(".inf") == math.inf
    assert plain_value("-.Inf") == -math.inf
    found = plain_value(".nan")
    assert isinstance(found, float)
    assert math.isnan(found)


def test_a_number_that_is_octal_unawares_is_known() -> None:
    assert [text for text in ("0777", "-07", "0", "00", "08", "0o7", "7", "010") if octal(text)] == [
        "0777", "-07", "010",
    ]  # fmt: skip


def test_keys_are_text_as_pulumi_makes_it() -> None:
    assert read_yaml("{2: a, true: b, 0777: c, 1.5: d, yes: e, ~: f}").value() == {
        "2": "a", "true": "b", "511": "c", "1.5": "d", "yes": "e", "<nil>": "f",
    }  # fmt: skip


def test_aliases_and_merged_keys_are_followed() -> None:
    found = read_yaml("a: &x {b: 2, d: 4}\nc:\n  <<: *x\n  d: 3\ne: *x\nf: {<<: [*x, {g: 1}]}\n").value()
    assert found["c"] == {"d": 3, "b": 2}
    assert found["e"] == {"b": 2, "d": 4}
    assert found["f"] == {"b": 2, "d": 4, "g": 1}


def test_only_the_first_document_counts_and_a_tag_makes_text() -> None:
    assert read_yaml("a: !!str 5\n---\nb: 1\n").value() == {"a": "5"}
    assert read_yaml("").value() is None
    assert read_yaml("# nothing\n").value() is None


def test_a_tab_may_stand_between_a_key_and_its_value_but_not_indent() -> None:
    assert read_yaml('a:\t1\nb: {x:\t2,\ty: "\t"}\nc: [1,\t2]\n').value() == {
        "a": 1, "b": {"x": 2, "y": "\t"}, "c": [1, 2],
    }  # fmt: skip
    with pytest.raises(NotYamlError, match="a tab cannot indent in YAML; write spaces"):
        read_yaml("a:\n\tb: 1\n")


def test_aliases_that_explode_are_refused() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 9):
        laughs += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
    with pytest.raises(NotYamlError, match="too many values; remove aliases"):
        read_yaml(laughs)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz-1", min_size=1), inner, max_size=4)
    ),
    max_leaves=12,
)


@examples(1)
@given(VALUES, st.sampled_from([None, 2]))
def test_json_is_yaml(document: Any, indent: Any) -> None:
    assert read_yaml(json.dumps(document, ensure_ascii=False, indent=indent)).value() == document


def test_every_value_knows_its_place() -> None:
    lines_of_file = STACK.split("\n")
    for path, node in read_yaml(STACK).below():
        if node.kind == "scalar" and isinstance(node.scalar, str):
            line = lines_of_file[node.mark.line - 1][node.mark.column - 1 :]
            assert line.lstrip("\"'|").startswith(node.scalar.strip()[:20]), path


@examples(1)
@given(st.data())
def test_a_file_that_is_damaged_is_reported_with_a_place(tmp_path_factory: Any, data: st.DataObject) -> None:
    text = STACK
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        cut = data.draw(st.integers(0, 12))
        text = (
            text[:at]
            + data.draw(st.text(":{}[]-,'\"#&*!|>%@\t\n \x00\u00e4a0", max_size=4))
            + text[at + cut :]
        )
    path = tmp_path_factory.getbasetemp() / "Pulumi.damaged.yaml"
    path.write_text(text)
    report = check_file(path, KINDS)
    assert report.valid == (report.settings is not None)
    assert list(lines(report))
    assert as_json([report])
    for found in report.problems:
        assert 1 <= found.mark.line <= text.count("\n") + 2
        assert "Traceback" not in found.message
