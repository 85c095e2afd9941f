"""The key that a node makes itself: once for each generation, and told by its public half alone."""

import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mesh.host.answers import AgentError, Answer
from mesh.host.commands.keys import keys
from mesh.host.commands.own_key import own_key, parse_own_key
from mesh.host.files import ownkey
from mesh.host.files.keystore import fingerprint
from mesh.host.places import Places
from mesh.remote import own_key_input, read_own_key
from tests.unit.host.documents import KEYS


def _input(generation: int, owner: str) -> bytes:
    """What the command reads after the line that ends any other shell."""
    return own_key_input(generation, owner, "HOST KEY").partition("\n")[2].encode()


def _ask(places: Places, generation: int, owner: str = "prod/web-1/4711") -> str:
    answer, detail = own_key(places, _input(generation, owner))
    assert answer is Answer.MADE
    assert int(detail.split()[0]) == generation
    return f"{answer.word} {detail}"


def _private(places: Places, answer: str) -> str:
    made = read_own_key(answer)
    assert made is not None
    private = (places.keys / made.name).read_text().strip()
    assert fingerprint(private) == made.name
    public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True)
    assert public.stdout.strip() == made.public_key
    assert private not in answer
    return private


@pytest.fixture
def bare(tmp_path: Path) -> Places:
    """A host that was only just met: the agent has made no folder yet."""
    return Places(tmp_path)


def test_the_key_is_made_once_for_each_generation(bare: Places) -> None:
    first = _ask(bare, 1)
    private = _private(bare, first)
    assert stat.S_IMODE((bare.keys / fingerprint(private)).stat().st_mode) == 0o600
    assert _ask(bare, 1) == first
    second = _ask(bare, 2)
    assert _private(bare, second) != private
    assert _ask(bare, 2) == second


def test_a_copy_of_the_disk_in_another_server_makes_a_key_of_its_own(bare: Places) -> None:
    first = _ask(bare, 1)
    assert _ask(bare, 1, "prod/web-1/4712") != first


def test_two_nodes_make_two_keys(tmp_path: Path) -> None:
    assert _ask(Places(tmp_path / "one"), 1) != _ask(Places(tmp_path / "two"), 1)


def test_keys_that_are_sent_leave_it_and_collect_the_one_before(places: Places) -> None:
    former = read_own_key(_ask(places, 1))
    made = read_own_key(_ask(places, 2))
    assert former is not None
    assert made is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mesh.host.commands.keys.check_archive", lambda _: None)
        keys(places, json.dumps({"format": 1, "keys": []}).encode())
    assert (places.keys / made.name).exists()
    assert not (places.keys / former.name).exists()
    assert not (places.keys / fingerprint(KEYS[0])).exists()


def test_a_key_whose_record_was_not_written_is_another_one_next_time(
    bare: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody was told that one: so nothing names it."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ownkey, "write_json", full)
        with pytest.raises(OSError, match="No space"):
            own_key(bare, _input(1, "me"))
    assert _private(bare, _ask(bare, 1))


def test_a_lost_key_is_taken_from_the_interfaces_file_or_made_anew(bare: Places) -> None:
    first = _ask(bare, 1)
    private = _private(bare, first)
    (bare.keys / fingerprint(private)).unlink()
    (bare.state / "wg0.conf").write_text(f"[Interface]\nPrivateKey = {private}\n")
    assert _ask(bare, 1) == first
    assert (bare.keys / fingerprint(private)).exists()
    (bare.keys / fingerprint(private)).unlink()
    (bare.state / "wg0.conf").unlink()
    assert _ask(bare, 1) != first


def test_a_damaged_record_counts_as_none(bare: Places) -> None:
    first = _ask(bare, 1)
    for damaged in ("", "{", "[]", '{"generation": 1, "key": 7}', '{"generation": "1", "key": "x"}'):
        bare.own_key.write_text(damaged)
        assert _ask(bare, 1) != first


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"format": 1}',
        b'{"format": 1, "generation": 1}',
        b'{"format": 1, "generation": 1, "owner": 7}',
        b'{"format": 1, "generation": 1, "owner": "web-1"}',
        b'{"format": 2, "generation": 1, "owner": "00000000000000000000000000000000"}',
        b'{"format": 1, "generation": 0, "owner": "00000000000000000000000000000000"}',
        b'{"format": 1, "generation": true, "owner": "00000000000000000000000000000000"}',
        b'{"format": 1, "generation": 1.5, "owner": "00000000000000000000000000000000"}',
        b'{"format": 1, "generation": "1", "owner": "00000000000000000000000000000000"}',
        b'{"format": 1, "generation": 1, "more": 1, "owner": "00000000000000000000000000000000"}',
    ],
)
def test_anything_else_is_refused(raw: bytes) -> None:
    with pytest.raises(AgentError) as raised:
        parse_own_key(raw)
    assert raised.value.answer is Answer.REFUSED


@pytest.mark.parametrize(
    "answer", ["", "STORED 2 keys", "MADE 1 0011", "MADE 1 00112233445566xx " + KEYS[0], "made 1 2 3"]
)
def test_nothing_else_is_read_as_an_answer(answer: str) -> None:
    assert read_own_key(answer) is None
