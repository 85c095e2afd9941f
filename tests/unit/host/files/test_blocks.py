import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mesh.host.files.blocks import BEGIN, END, lines_of, made_for_block, with_block, without_block

ODD = b"a b\r\n\x0c\x0b\x1c\x1d\x1e\x85\xe2\x80\xa8\xc2\x85\xff\x00#"
# Bytes with the line ends of every program, and ours among them; without a marker, as others write it.
TEXT = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from([bytes([byte]) for byte in ODD]), max_size=40).map(b"".join),
    st.lists(st.sampled_from([b"127.0.0.1 localhost\n", b"# mine\r\n", b"\n", b"x\x0cy\n", b"end"])).map(
        b"".join
    ),
).filter(lambda text: BEGIN not in text and END not in text)
# The same with markers in every place, as somebody may have edited them.
MARKERS = [
    *(BEGIN + b"\n", END + b"\n", BEGIN + b"\r\n", END),
    *(BEGIN + b" (the line before had no end)\n", BEGIN + b" (there was no such file)\n"),
]
EDITED = st.lists(st.sampled_from([*MARKERS, b"a\n", b"\n", b"b\r\n", b"c"]), max_size=8).map(b"".join)
BLOCK = st.lists(st.sampled_from([b"10.10.0.1 web-1\n", b"10.10.0.2 web-2\n"])).map(b"".join)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"%b\nnew\n%b\n"),
        (b"a\nb\n", b"a\nb\n%b\nnew\n%b\n"),
        (b"a", b"a\n%b (the line before had no end)\nnew\n%b\n"),
        (None, b"%b (there was no such file)\nnew\n%b\n"),
        (b"a\n%b\nold\n%b\nb\n", b"a\n%b\nnew\n%b\nb\n"),
        (b"a\r\n%b\r\nold\r\n%b\r\nb", b"a\r\n%b\nnew\n%b\nb"),
        (b"a\n%b\nold\n%b\nb\n%b\nolder\n%b\n", b"a\n%b\nnew\n%b\nb\n"),
        (b"a\n# BEGIN wgmesh\nb\n", b"a\nb\n%b\nnew\n%b\n"),
        (b"a\n# END wgmesh\nb\n", b"a\nb\n%b\nnew\n%b\n"),
        (b"# END wgmesh\na\n# BEGIN wgmesh\n", b"a\n%b\nnew\n%b\n"),
    ],
)
def test_the_block_is_put_in_its_place(before: bytes | None, after: bytes) -> None:
    def filled(text: bytes) -> bytes:
        for marker in (BEGIN, END) * text.count(b"%b"):
            text = text.replace(b"%b", marker, 1)
        return text

    assert with_block(None if before is None else filled(before), b"new\n") == filled(after)


@given(TEXT, BLOCK, BLOCK)
@example(b"", b"", b"")
@example(b"old", b"x\n", b"")
def test_what_others_wrote_comes_back_to_the_byte(text: bytes, block: bytes, later: bytes) -> None:
    assert without_block(with_block(text, block)) == text
    assert without_block(with_block(with_block(text, block), later)) == text
    assert not made_for_block(with_block(text, block))


@given(EDITED, BLOCK)
def test_it_is_stable_and_leaves_the_rest_alone(text: bytes, block: bytes) -> None:
    once = with_block(text, block)
    assert with_block(once, block) == once
    assert without_block(once) == without_block(text)
    assert sum(line.startswith(BEGIN) for line in lines_of(once)) == 1


@given(TEXT, TEXT, BLOCK)
def test_what_is_added_around_the_block_stays(before: bytes, after: bytes, block: bytes) -> None:
    later = with_block(before, block) + after
    ended = before + b"\n" if before and not before.endswith(b"\n") and after else before
    assert without_block(later) == ended + after


@given(TEXT)
def test_a_file_that_was_made_for_the_block_is_known(other: bytes) -> None:
    made = with_block(None, b"x\n")
    assert made_for_block(made)
    assert made_for_block(with_block(made, b"y\n"))
    assert made_for_block(other + made) == (not other)


def test_only_a_line_feed_ends_a_line() -> None:
    key = b"# old\x0cssh-ed25519 AAAA gone\xc2\x85# \xe2\x80\xa8ssh-rsa BBBB\r\n"
    assert lines_of(key + b"last\xff\x00") == [key, b"last\xff\x00"]
