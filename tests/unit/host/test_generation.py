from pathlib import Path

import pytest

from mesh.host.answers import AgentError, Answer
from mesh.host.document import Document, parse_document
from mesh.host.generation import (
    collect_generations,
    commit,
    current_digest,
    key_names_in_use,
    load_generation,
    load_link,
    stage,
    write_originals,
)
from mesh.host.keystore import fingerprint, store_keys
from mesh.host.places import Places
from tests.unit.host import documents as example


def document(port: int = 51820) -> Document:
    wg = example.WG.replace("ListenPort = 51820", f"ListenPort = {port}")
    return parse_document(example.document(wg=wg).encode())


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path)
    for folder in (places.keys, places.generations):
        folder.mkdir(parents=True, mode=0o700)
    store_keys(places.keys, {fingerprint(key): key for key in example.KEYS})
    return places


def test_a_staged_generation_is_complete_and_private(places: Places) -> None:
    generation = stage(places, document())
    assert generation.folder == places.generations / document().digest
    assert generation.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in generation.folder.iterdir()} == {0o600}
    conf = (generation.folder / "wg0.conf").read_text()
    assert f"PrivateKey = {example.KEYS[0]}\n" in conf
    assert f"PresharedKey = {example.KEYS[1]}\n" in conf
    assert generation.device.peers[example.KEYS[2]].preshared_key == example.KEYS[1]
    assert generation.sysctls["net.ipv4.ip_forward"] == "1"
    assert current_digest(places) is None


def test_a_missing_key_stops_it_before_anything_is_written(places: Places) -> None:
    (places.keys / fingerprint(example.KEYS[1])).unlink()
    with pytest.raises(AgentError) as caught:
        stage(places, document())
    assert caught.value.answer is Answer.KEYS_MISSING
    assert list(places.generations.iterdir()) == []


@pytest.mark.parametrize("name", ["document", "wg0.conf", "firewall.nft", "hosts", "manifest.json"])
def test_damage_is_noticed_and_staging_again_heals_it(places: Places, name: str) -> None:
    folder = stage(places, document()).folder
    (folder / name).write_text((folder / name).read_text()[:-2])
    with pytest.raises(AgentError, match="absent or damaged"):
        load_generation(folder)
    assert stage(places, document()).digest == document().digest
    assert [path.name for path in places.generations.iterdir()] == [folder.name]


def test_the_last_two_are_kept_and_their_keys_named(places: Places) -> None:
    for port in (1001, 1002, 1003):
        stage(places, document(port))
        commit(places, document(port).digest)
        collect_generations(places)
    kept = {path.name for path in places.generations.iterdir()}
    assert kept == {document(1002).digest, document(1003).digest}
    assert current_digest(places) == document(1003).digest
    before = load_link(places.previous)
    assert before is not None
    assert before.file.port == 1002
    assert key_names_in_use(places) == {fingerprint(key) for key in example.KEYS[:2]}


def test_committing_again_keeps_the_one_before(places: Places) -> None:
    for port in (1001, 1002, 1002):
        commit(places, stage(places, document(port)).digest)
    before = load_link(places.previous)
    assert before is not None
    assert before.file.port == 1001


def test_originals_belong_to_their_generation(places: Places) -> None:
    generation = stage(places, document())
    write_originals(generation, {"net.ipv4.ip_forward": "0"})
    assert load_generation(generation.folder).originals == {"net.ipv4.ip_forward": "0"}
