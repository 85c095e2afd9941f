"""Keys lie in the key store and in the rendered file, and nowhere else, whatever was cut short or edited."""

import shutil
from pathlib import Path

import pytest

from mesh.host.commands.guard import _firewall
from mesh.host.commands.install import _mend_generations
from mesh.host.files.etc import file_differences, put_files
from mesh.host.files.generation import load_generation, stage
from mesh.host.files.keystore import fingerprint, restore_keys, stored_keys
from mesh.host.files.managed import FIREWALL, WG_CONF
from mesh.host.files.rendered import collect_leftovers
from mesh.host.places import Places
from mesh.host.trial.undo import _committed
from tests.unit.host import documents as example
from tests.unit.host.generations import committed, document, holds_keys, older, rendered


def kept(places: Places) -> list[str]:
    return sorted(path.name for path in places.at(WG_CONF).parent.iterdir())


def test_a_copy_of_ours_that_somebody_edited_is_no_file_from_before(places: Places) -> None:
    """`leave` would put it back, with our keys."""
    (digest,) = committed(places, 1001)
    put_files(places, load_generation(places, digest), [22])
    conf = places.at(WG_CONF)
    text = conf.read_text()
    conf.unlink()
    conf.write_text(f"{text}# mine\n")
    put_files(places, load_generation(places, digest), [22])
    assert kept(places) == ["wg0.conf", "wg0.conf.by-hand"]
    assert conf.with_name("wg0.conf.by-hand").stat().st_mode & 0o077 == 0


def test_a_file_that_was_there_before_the_first_commit_is_called_so(places: Places) -> None:
    places.at(WG_CONF).parent.mkdir(parents=True)
    places.at(WG_CONF).write_text("# mine\n")
    (digest,) = committed(places, 1001)
    put_files(places, load_generation(places, digest), [22])
    assert kept(places) == ["wg0.conf", "wg0.conf.before-wgmesh"]


def test_what_a_killed_write_left_goes(places: Places) -> None:
    (digest,) = committed(places, 1001)
    load_generation(places, digest)
    left = places.state / ".wg0.conf.77.0badcafe.new"
    shutil.copy(rendered(places), left)
    collect_leftovers(places)
    assert not left.exists()
    assert rendered(places).exists()


@pytest.mark.parametrize("commits", [[], [1001, 1002]], ids=["never committed", "a node"])
def test_no_generation_of_an_older_agent_keeps_its_keys(places: Places, commits: list[int]) -> None:
    """Those that were tried and refused, too."""
    committed(places, *commits)
    folders = [older(places, port) for port in (*commits, 1003)]
    assert all(holds_keys(folder / "wg0.conf") for folder in folders)
    _mend_generations(places)
    assert not [folder for folder in folders if holds_keys(folder / "wg0.conf")]


def test_a_key_store_that_was_deleted_is_made_again(places: Places) -> None:
    (digest,) = committed(places, 1001)
    names = load_generation(places, digest).file.key_names()
    shutil.rmtree(places.keys)
    restore_keys(places, names)
    assert sorted(stored_keys(places.keys, names)) == sorted(names)
    assert places.keys.stat().st_mode & 0o777 == 0o700


def test_a_lost_key_is_no_damage_of_the_firewall(places: Places) -> None:
    (digest,) = committed(places, 1001)
    shutil.rmtree(places.keys)
    (places.generations / digest / "firewall.nft").write_text("table inet wgmesh { }  # edited\n")
    assert _firewall(places, digest) == document(1001).files[FIREWALL]
    assert _committed(places).firewall == document(1001).files[FIREWALL]


def test_a_rendered_file_that_is_open_to_others_is_told_once(places: Places, tmp_path: Path) -> None:
    (digest,) = committed(places, 1001)
    generation = load_generation(places, digest)
    put_files(places, generation, [22])
    rendered(places).chmod(0o644)
    assert str(rendered(places)) not in {found.item for found in file_differences(places, generation, [22])}
    assert stage(places, document(1001)).digest == digest
    load_generation(places, digest)
    assert rendered(places).stat().st_mode & 0o777 == 0o600
    assert fingerprint(example.KEYS[0]) in generation.file.key_names()
