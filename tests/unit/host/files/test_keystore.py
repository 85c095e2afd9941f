import json
from pathlib import Path

import pytest

from mesh.host.answers import AgentError, Answer
from mesh.host.files.keystore import collect_keys, fingerprint, names_of, parse_keys, store_keys, stored_keys
from mesh.host.files.wgconf import clamped
from mesh.host.places import Places
from mesh.plan import fingerprint as planned_fingerprint
from tests.unit.host.documents import KEYS


def bundle(**changes: object) -> bytes:
    return json.dumps({"format": 1, "keys": KEYS, **changes}).encode()


def test_node_and_plan_call_a_key_by_the_same_name() -> None:
    assert fingerprint(KEYS[0]) == planned_fingerprint(bytes([1]) * 32)


def test_keys_are_stored_for_root_alone_and_found_again(tmp_path: Path) -> None:
    keys = parse_keys(bundle())
    store_keys(tmp_path, keys)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert stored_keys(tmp_path, keys) == keys
    assert collect_keys(tmp_path, keys) == []


def test_storing_again_writes_nothing(tmp_path: Path) -> None:
    store_keys(tmp_path, parse_keys(bundle()))
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    store_keys(tmp_path, parse_keys(bundle()))
    assert {path.name: path.stat().st_ino for path in tmp_path.iterdir()} == before


def test_what_nobody_names_is_collected(tmp_path: Path) -> None:
    store_keys(tmp_path, parse_keys(bundle()))
    (tmp_path / ".0123.new").write_text("left by a crash")
    kept = fingerprint(KEYS[1])
    assert len(collect_keys(tmp_path, [kept])) == len(KEYS)
    assert [path.name for path in tmp_path.iterdir()] == [kept]


@pytest.mark.parametrize("content", ["", "AAAA", KEYS[1]])
def test_a_damaged_key_counts_as_missing(tmp_path: Path, content: str) -> None:
    name = fingerprint(KEYS[0])
    (tmp_path / name).write_text(content)
    assert stored_keys(tmp_path, [name]) == {}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{",
        bundle()[:-3],
        bundle(format=2),
        bundle(keys="x"),
        bundle(more=1),
        bundle(keys=[KEYS[0], 7]),
        bundle(keys=[KEYS[0][:-1]]),
        bundle(keys=[KEYS[0], None]),
    ],
)
def test_a_wrong_bundle_is_refused_without_a_word_of_it(raw: bytes) -> None:
    with pytest.raises(AgentError) as caught:
        parse_keys(raw)
    assert caught.value.answer is Answer.REFUSED
    assert KEYS[0][:12] not in caught.value.reason


def test_a_running_interfaces_keys_are_named_and_one_set_by_hand_is_kept(tmp_path: Path) -> None:
    """An interface shows its private key with the bits set that Curve25519 ignores."""
    places = Places(tmp_path)
    places.keys.mkdir(parents=True)
    store_keys(places.keys, {fingerprint(key): key for key in KEYS[:2]})
    assert clamped(KEYS[0]) != KEYS[0]
    named = names_of(places, [clamped(KEYS[0]), KEYS[1], KEYS[3]])
    assert named == {
        clamped(KEYS[0]): fingerprint(KEYS[0]),
        KEYS[1]: fingerprint(KEYS[1]),
        KEYS[3]: fingerprint(KEYS[3]),
    }
    assert stored_keys(places.keys, named.values()) == {fingerprint(key): key for key in (*KEYS[:2], KEYS[3])}
