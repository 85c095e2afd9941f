import errno
import os
import shutil
from pathlib import Path

import pytest

from mesh.host.answers import AgentError, Answer
from mesh.host.files.generation import (
    collect_generations,
    commit,
    current_digest,
    key_names_in_use,
    load_generation,
    load_link,
    read_generation,
    stage,
    write_originals,
)
from mesh.host.files.keystore import fingerprint, stored_keys
from mesh.host.files.managed import WG_CONF
from mesh.host.files.mending import damage
from mesh.host.files.wentback import committed_generation, went_back
from mesh.host.places import Places
from tests.unit.host import documents as example
from tests.unit.host.generations import committed, document, holds_keys, older, rendered


def test_a_staged_generation_is_complete_and_holds_no_key(places: Places) -> None:
    generation = stage(places, document())
    assert generation.folder == places.generations / document().digest
    assert generation.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in generation.folder.iterdir()} == {0o600}
    assert (generation.folder / "wg0.conf").read_text() == example.WG
    assert not any(holds_keys(path) for path in generation.folder.iterdir())
    assert generation.file.key_names() == [fingerprint(key) for key in example.KEYS[:2]]
    assert generation.sysctls["net.ipv4.ip_forward"] == "1"
    assert current_digest(places) is None


def test_a_missing_key_stops_it_before_anything_is_written(places: Places) -> None:
    (places.keys / fingerprint(example.KEYS[1])).unlink()
    with pytest.raises(AgentError) as caught:
        stage(places, document())
    assert caught.value.answer is Answer.KEYS_MISSING
    assert list(places.generations.iterdir()) == []


def spoilt(path: Path, how: str) -> None:
    """Do to a file what editors, backups and disks do."""
    if how == "edited":
        path.write_bytes(path.read_bytes() + b"# note \xe9\x0c\r\n")
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-2])
    elif how == "absent":
        path.unlink()
    elif how == "readable by all":
        path.chmod(0o644)
    elif how == "a link":
        path.rename(path.parent.parent / "elsewhere")
        path.symlink_to("../elsewhere")
    else:
        path.unlink()
        path.mkdir()


DERIVED = ["wg0.conf", "firewall.nft", "sysctl.conf", "hosts", "authorized_keys"]
DERIVED += ["interfaces.conf", "manifest.json"]
WAYS = ["edited", "cut", "absent", "readable by all", "a link", "a folder"]


@pytest.mark.parametrize("name", DERIVED)
@pytest.mark.parametrize("how", WAYS)
def test_a_file_that_follows_from_the_document_is_made_again(places: Places, name: str, how: str) -> None:
    folder = stage(places, document()).folder
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    spoilt(folder / name, how)
    assert read_generation(places, folder.name).digest == document().digest, "and a mere look changes nothing"
    assert damage(folder, whole).keys() == {name}
    assert load_generation(places, folder.name) == stage(places, document())
    assert damage(folder, whole) == {}
    assert {path.lstat().st_mode & 0o7777 for path in folder.iterdir() if path.is_file()} == {0o600}


@pytest.mark.parametrize("how", ["edited", "cut", "absent", "a folder"])
def test_a_damaged_document_is_damage_and_staging_again_heals_it(places: Places, how: str) -> None:
    folder = stage(places, document()).folder
    spoilt(folder / "document", how)
    with pytest.raises(AgentError, match="its document is absent or damaged"):
        load_generation(places, folder.name)
    assert stage(places, document()).digest == document().digest
    assert load_generation(places, folder.name).digest == document().digest


def test_the_committed_interface_is_rendered_at_one_place(places: Places) -> None:
    (digest,) = committed(places, 1001)
    load_generation(places, digest)
    conf = rendered(places).read_text()
    assert f"PrivateKey = {example.KEYS[0]}\n" in conf
    assert f"PresharedKey = {example.KEYS[1]}\n" in conf
    assert "ListenPort = 1001\n" in conf
    assert rendered(places).stat().st_mode & 0o777 == 0o600
    staged = stage(places, document(1002)).digest
    load_generation(places, staged)
    assert rendered(places).read_text() == conf, "a trial changes nothing of it"


def test_a_commit_is_one_link_whatever_is_rendered(places: Places) -> None:
    """Power goes between the commit and what follows it: the next start renders what is committed."""
    before, now = committed(places, 1001, 1002)
    load_generation(places, now)
    places.current.unlink()
    places.current.symlink_to(f"generations/{before}")
    assert "ListenPort = 1002\n" in rendered(places).read_text()
    assert load_generation(places, before).file.port == 1001
    assert "ListenPort = 1001\n" in rendered(places).read_text()


@pytest.mark.parametrize("lost", ["none", "in the key store"])
def test_generations_of_older_agents_go_on_and_lose_their_keys(places: Places, lost: str) -> None:
    before, now = committed(places, 1001, 1002)
    folders = [older(places, port) for port in (1001, 1002)]
    if lost == "in the key store":
        for path in places.keys.iterdir():
            path.unlink()
    for digest in (now, before):
        assert read_generation(places, digest).digest == digest, "a mere look changes nothing"
    assert all(holds_keys(folder / "wg0.conf") for folder in folders)
    assert places.at(WG_CONF).read_text() == (folders[1] / "wg0.conf").read_text()
    for digest in (now, before):
        load_generation(places, digest)
    assert not any(holds_keys(folder / "wg0.conf") for folder in folders)
    assert str(places.at(WG_CONF).readlink()) == str(rendered(places))
    assert example.KEYS[0] in places.at(WG_CONF).read_text()
    assert set(stored_keys(places.keys, document().wg.key_names()).values()) == set(example.KEYS[:2])


def test_an_older_agents_link_is_whole_at_every_step(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Power may go before any rename: what /etc links to has the keys at each of them."""
    (now,) = committed(places, 1001)
    older(places, 1001)
    seen: list[bool] = []
    replace = Path.replace

    def look(path: Path, target: Path) -> Path:
        seen.append(holds_keys(places.at(WG_CONF)))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", look)
    load_generation(places, now)
    assert len(seen) >= 3, "the rendered file, the link, the generation's file"
    assert all(seen)
    assert holds_keys(places.at(WG_CONF))


def test_what_somebody_else_put_there_is_no_link_of_ours(places: Places) -> None:
    (now,) = committed(places, 1001)
    path = places.at(WG_CONF)
    path.parent.mkdir(parents=True)
    path.write_text("# mine\n")
    load_generation(places, now)
    assert path.read_text() == "# mine\n"


def test_a_key_that_is_lost_in_one_place_comes_from_the_other(places: Places) -> None:
    (now,) = committed(places, 1001)
    load_generation(places, now)
    lost = fingerprint(example.KEYS[1])
    (places.keys / lost).unlink()
    rendered(places).write_text(rendered(places).read_text().replace(" = ", "="))
    load_generation(places, now)
    assert (places.keys / lost).read_text() == f"{example.KEYS[1]}\n"
    spoilt(rendered(places), "absent")
    load_generation(places, now)
    assert example.KEYS[1] in rendered(places).read_text()


def test_a_key_that_is_lost_in_both_places_is_told(places: Places) -> None:
    (now,) = committed(places, 1001)
    load_generation(places, now)
    lost = fingerprint(example.KEYS[1])
    (places.keys / lost).write_text(f"{example.KEYS[0]}\n")
    spoilt(rendered(places), "absent")
    with pytest.raises(AgentError, match=f"{now}: key:{lost} is lost both in .*/keys and in .*/wg0.conf"):
        load_generation(places, now)


def test_what_cannot_be_written_now_counts_all_the_same(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stage(places, document()).folder
    spoilt(folder / "wg0.conf", "cut")

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    assert load_generation(places, folder.name) == read_generation(places, folder.name)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*DERIVED, "document"])


def test_a_damaged_generation_gives_way_to_the_one_before_and_is_remembered(places: Places) -> None:
    before, now = committed(places, 1001, 1002)
    spoilt(places.current / "document", "cut")
    found = committed_generation(places)
    assert found is not None
    assert (found.digest, current_digest(places)) == (before, before)
    assert went_back(places) == (
        now,
        before,
        f"{places.generations / now}: its document is absent or damaged",
    )
    again = committed_generation(places)
    assert again is not None
    assert again.digest == before
    commit(places, stage(places, document(1003)).digest)
    assert went_back(places) is None, "a commit makes it good"


@pytest.mark.parametrize("loss", ["dangling", "absent"])
def test_a_lost_link_goes_back_too(places: Places, loss: str) -> None:
    before, now = committed(places, 1001, 1002)
    if loss == "dangling":
        shutil.rmtree(places.generations / now)
    else:
        places.current.unlink()
    found = committed_generation(places)
    assert found is not None
    assert found.digest == before
    assert went_back(places) is not None


@pytest.mark.parametrize("with_generations", [True, False])
def test_links_that_a_backup_brought_back_as_folders_are_links_again(
    places: Places, *, with_generations: bool
) -> None:
    _, now = committed(places, 1001, 1002)
    for link in (places.current, places.previous):
        target = link.parent / link.readlink()
        link.unlink()
        shutil.copytree(target, link)
    if not with_generations:
        shutil.rmtree(places.generations)
        places.generations.mkdir()
    found = committed_generation(places)
    assert found is not None
    assert (found.digest, current_digest(places)) == (now, now)
    commit(places, stage(places, document(1003)).digest)
    assert (current_digest(places), places.previous.readlink().name) == (document(1003).digest, now)


def test_nothing_whole_is_told_and_nothing_committed_is_nothing(places: Places) -> None:
    assert committed_generation(places) is None
    stage(places, document(1000))
    assert committed_generation(places) is None, "only staged"
    committed(places, 1001)
    spoilt(places.current / "document", "cut")
    with pytest.raises(AgentError, match="no whole generation before it: run `up` again"):
        committed_generation(places)


def test_the_last_two_are_kept_and_their_keys_named(places: Places) -> None:
    for port in (1001, 1002, 1003):
        stage(places, document(port))
        commit(places, document(port).digest)
        collect_generations(places)
    kept = {path.name for path in places.generations.iterdir()}
    assert kept == {document(1002).digest, document(1003).digest}
    assert current_digest(places) == document(1003).digest
    before = load_link(places, places.previous)
    assert before is not None
    assert before.file.port == 1002
    assert key_names_in_use(places) == {fingerprint(key) for key in example.KEYS[:2]}


def test_committing_again_keeps_the_one_before(places: Places) -> None:
    for port in (1001, 1002, 1002):
        commit(places, stage(places, document(port)).digest)
    before = load_link(places, places.previous)
    assert before is not None
    assert before.file.port == 1001


def test_originals_belong_to_their_generation(places: Places) -> None:
    generation = stage(places, document())
    write_originals(generation, {"net.ipv4.ip_forward": "0"})
    assert load_generation(places, generation.digest).originals == {"net.ipv4.ip_forward": "0"}
