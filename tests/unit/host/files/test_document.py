import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.host.answers import AgentError, Answer
from mesh.host.files.document import FILES, MAX_BYTES, parse_document
from tests.examples import examples
from tests.unit.host import documents as example

GOOD = example.document().encode()


def refused(raw: bytes) -> str:
    with pytest.raises(AgentError) as caught:
        parse_document(raw)
    assert caught.value.answer is Answer.REFUSED
    return caught.value.reason


def test_a_good_document_is_split_into_its_files() -> None:
    parsed = parse_document(GOOD)
    assert parsed.digest == hashlib.sha256(GOOD).hexdigest()
    assert tuple(parsed.files) == FILES
    assert parsed.files["/etc/wireguard/wg0.conf"] == example.WG
    assert parsed.files["/etc/hosts"] == example.HOSTS
    assert parsed.wg.port == 51820
    assert parsed.wg.peers[0].endpoint == "198.18.3.11:51820"


def test_every_cut_is_refused() -> None:
    for length in range(len(GOOD)):
        refused(GOOD[:length])


def test_every_missing_line_of_structure_is_refused() -> None:
    lines = GOOD.decode().splitlines(keepends=True)
    for index, line in enumerate(lines):
        if index == 0 or line.startswith("==> "):
            refused("".join(lines[:index] + lines[index + 1 :]).encode())
            refused("".join([*lines[: index + 1], *lines[index:]]).encode())


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "is empty"),
        (b"x" * (MAX_BYTES + 1), "larger than"),
        (GOOD.replace(b"wgmesh-files 1", b"wgmesh-files 2"), "line 1: the document must begin"),
        (GOOD.replace(b"# web-1\n", b"# \xff\n", 1), "not UTF-8"),
        (GOOD.replace(b"# web-1\n", b"# \r\n", 1), "line 3: control character 0x0d"),
        (GOOD.replace(b"# web-1\n", b"# \x00\n", 1), "control character"),
        (GOOD.replace(b"# web-1\n", "# \u2028PostUp = reboot\n".encode(), 1), "control character 0x2028"),
        (GOOD.replace(b"# web-1\n", "# \x85PostUp = reboot\n".encode(), 1), "control character 0x85"),
        (GOOD.replace(b"/etc/hosts <==", b"/etc/passwd <=="), "`==> /etc/hosts <==` must come here"),
        (GOOD + b"more\n", "nothing may follow"),
        (GOOD.replace(b"10.10.0.2 web-2", b"10.10.0.300 web-2"), "is not an IP address"),
        (GOOD.replace(b"10.10.0.2 web-2", b"10.10.0.2"), "followed by host names"),
        (GOOD.replace(b"10.10.0.2 web-2\n", b"\n"), "is not an IP address"),
        (example.document(authorized_keys="").encode(), "nobody could log in"),
        (example.document(authorized_keys="# none\n").encode(), "every line is a key"),
    ],
)
def test_what_is_wrong_is_said(raw: bytes, says: str) -> None:
    assert says in refused(raw)


@examples(4)
@given(data=st.data())
def test_any_damage_is_refused_or_gives_the_same_structure(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOOD)))
    gone = data.draw(st.integers(0, 40))
    pieces = st.sampled_from([b"\n==> ", b"==> end <==\n", b"[Peer]\n"])
    fresh = data.draw(st.one_of(st.binary(max_size=40), pieces))
    raw = GOOD[:at] + fresh + GOOD[at + gone :]
    answer = None
    try:
        parsed = parse_document(raw)
    except AgentError as error:
        answer = error.answer
    else:
        assert tuple(parsed.files) == FILES
        assert len(parsed.wg.private) == 16
        rebuilt = "wgmesh-files 1\n" + "".join(f"==> {p} <==\n{c}" for p, c in parsed.files.items())
        assert (rebuilt + "==> end <==\n").encode() == raw
    assert answer in (None, Answer.REFUSED)


@given(st.binary(max_size=200))
def test_garbage_is_refused(raw: bytes) -> None:
    refused(raw)
