"""systemd's side is played; tests/host has the real one."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.host.answers import AgentError
from mesh.host.system import manager
from mesh.host.system.manager import Manager, pack, unpack

Play = Callable[[Callable[[socket.socket], None]], None]
HEADER = "(yyyyuua(yv))"
OK = b"OK 7f3dae52d88d0f377f3dae52d88d0f37\r\n"


def _packed(kind: str, value: Any) -> bytes:
    out = bytearray()
    pack(out, kind, value)
    return bytes(out)


def _message(kind: int, fields: list[tuple[int, tuple[str, Any]]], signature: str, *values: Any) -> bytes:
    body = _packed(f"({signature})", values)
    every = [*fields, (8, ("g", signature))]
    head = _packed(HEADER, (ord("l"), kind, 1, 1, len(body), 7, every))
    return head + bytes(-len(head) % 8) + body


def _reply(serial: int, signature: str, *values: Any) -> bytes:
    return _message(2, [(5, ("u", serial))], signature, *values)


def _removed(job: str, result: str) -> bytes:
    """What systemd tells of the end of a job, asked or not."""
    fields = [(1, ("o", "/x")), (2, ("s", "x.Manager")), (3, ("s", "JobRemoved"))]
    return _message(4, fields, "uoss", 1, job, "a.service", result)


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Have a function play systemd's side of the one connection."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "private"))
    listener.listen()
    monkeypatch.setattr(manager, "_SOCKET", str(tmp_path / "private"))
    threads = []

    def started(side: Callable[[socket.socket], None]) -> None:
        def serve() -> None:
            with listener.accept()[0] as connection:
                said = connection.recv(4096)
                assert said.startswith(b"\0AUTH EXTERNAL "), said
                assert said.endswith(b"\r\nBEGIN\r\n"), said
                side(connection)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()

    yield started
    for thread in threads:
        thread.join(5)
    listener.close()


VALUES = st.recursive(
    st.one_of(
        st.tuples(st.just("u"), st.integers(0, 2**32 - 1)),
        st.tuples(st.just("t"), st.integers(0, 2**64 - 1)),
        st.tuples(st.just("y"), st.integers(0, 255)),
        st.tuples(st.just("s"), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))),
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(
            lambda each: (f"({''.join(kind for kind, _ in each)})", tuple(value for _, value in each))
        ),
        st.tuples(inner, st.integers(0, 3)).map(lambda pair: (f"a{pair[0][0]}", [pair[0][1]] * pair[1])),
    ),
    max_leaves=8,
)


@given(VALUES, st.integers(0, 9))
def test_what_is_packed_is_unpacked(value: tuple[str, Any], before: int) -> None:
    kind, plain = value
    out = bytearray(before)
    pack(out, kind, plain)
    assert unpack(bytes(out), before, kind) == (plain, len(out))


@pytest.mark.parametrize(
    ("kind", "value", "raw"),
    [
        # The examples of the D-Bus specification, "Marshaling (Wire Format)".
        ("(sss)", ("foo", "+", "bar"), b"\3\0\0\0foo\0\1\0\0\0+\0\0\0\3\0\0\0bar\0"),
        ("at", [5], b"\x08\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0"),
        ("v", ("b", True), b"\1b\0\0\1\0\0\0"),
        ("a(sv)", [], b"\0\0\0\0\0\0\0\0"),
    ],
)
def test_the_form_is_that_of_d_bus(kind: str, value: Any, raw: bytes) -> None:
    assert _packed(kind, value) == raw


def test_an_answer_is_found_among_what_else_is_told(play: Play) -> None:
    answers = [
        _removed("/job/2", "done") + _reply(1, "o", "/job/1"),
        _reply(2, "o", "/job/2") + _removed("/job/1", "failed"),
    ]

    def side(connection: socket.socket) -> None:
        connection.sendall(OK)
        for answer in answers:
            connection.recv(1 << 16)
            for place in range(0, len(answer), 50):
                connection.sendall(answer[place : place + 50])

    play(side)
    with Manager(timeout=5) as systemd:
        jobs = [systemd.call("StartUnit", "ss", unit, "replace")[0] for unit in ("a.service", "b.service")]
        assert systemd.finish(jobs) == ["failed", "done"]


def test_a_refusal_has_systemds_words(play: Play) -> None:
    def side(connection: socket.socket) -> None:
        connection.sendall(OK)
        connection.recv(1 << 16)
        connection.sendall(_message(3, [(5, ("u", 1))], "s", "Unit x.service not found."))

    play(side)
    with (
        Manager(timeout=5) as systemd,
        pytest.raises(AgentError, match=r"StopUnit failed: Unit x.service not"),
    ):
        systemd.call("StopUnit", "ss", "x.service", "replace")


@pytest.mark.parametrize("said", [OK, b""])
def test_a_systemd_that_hangs_is_not_waited_for(play: Play, said: bytes) -> None:
    over = threading.Event()

    def side(connection: socket.socket) -> None:
        connection.sendall(said)
        over.wait(5)

    play(side)
    with pytest.raises(AgentError, match=r"systemd .*not within 0 s"), Manager(timeout=0.2) as systemd:
        systemd.call("ListUnitsByNames", "as", ["a.service"])
    over.set()


def test_a_host_without_systemds_socket_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "_SOCKET", str(tmp_path / "nowhere"))
    with pytest.raises(AgentError, match="systemd cannot be asked: No such file"), Manager():
        pass


def test_a_connection_that_ends_is_told(play: Play) -> None:
    play(lambda connection: connection.sendall(OK))
    with pytest.raises(AgentError, match="systemd did not answer"), Manager(timeout=5) as systemd:
        systemd.call("ListUnitsByNames", "as", ["a.service"])
