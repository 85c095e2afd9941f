import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.host.blocks import BEGIN, END, with_block, without_block

LINES = st.lists(st.sampled_from(["127.0.0.1 localhost", "# mine", "", BEGIN, END, "x y"]), max_size=8)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"{BEGIN}\nnew\n{END}\n"),
        ("a\nb\n", f"a\nb\n{BEGIN}\nnew\n{END}\n"),
        ("a", f"a\n{BEGIN}\nnew\n{END}\n"),
        (f"a\n{BEGIN}\nold\n{END}\nb\n", f"a\n{BEGIN}\nnew\n{END}\nb\n"),
        (f"a\n{BEGIN}\nb\n", f"a\nb\n{BEGIN}\nnew\n{END}\n"),
        (f"a\n{END}\nb\n", f"a\nb\n{BEGIN}\nnew\n{END}\n"),
        (f"{END}\na\n{BEGIN}\n", f"a\n{BEGIN}\nnew\n{END}\n"),
    ],
)
def test_the_block_is_put_in_its_place(before: str, after: str) -> None:
    assert with_block(before, "new\n") == after


@given(LINES, st.lists(st.sampled_from(["10.10.0.1 web-1", "10.10.0.2 web-2"])))
def test_it_is_stable_and_leaves_the_rest_alone(lines: list[str], block: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    once = with_block(text, "\n".join(block))
    assert with_block(once, "\n".join(block)) == once
    assert without_block(once) == without_block(text)
    assert once.splitlines().count(BEGIN) == 1


@given(st.lists(st.sampled_from(["a", "b", ""])), st.lists(st.sampled_from(["a", "b", ""])))
def test_lines_of_others_are_never_lost(before: list[str], after: list[str]) -> None:
    text = "".join(f"{line}\n" for line in [*before, BEGIN, "ours", END, *after])
    assert without_block(text).splitlines() == before + after
