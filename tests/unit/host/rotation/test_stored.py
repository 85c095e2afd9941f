"""What a rotation leaves on a disk, and what is read again after commits, damage and its end."""

from pathlib import Path

import pytest

from mesh.host.answers import AgentError, Answer
from mesh.host.files.document import parse_document
from mesh.host.files.generation import Generation, as_generation, commit, current_digest, load_link, stage
from mesh.host.files.keystore import fingerprint, store_keys, stored_keys
from mesh.host.files.wgconf import clamped
from mesh.host.places import Places
from mesh.host.records import replace
from mesh.host.rotation import stored
from mesh.host.rotation.cleaning import forget_former_keys
from mesh.host.rotation.plan import Plan
from mesh.host.rotation.planned import PLAN, committed_plan, planned_key_names, remove_plans
from mesh.host.rotation.progress import Phase, Progress
from mesh.host.rotation.stored import (
    copy_plan,
    end_progress,
    keep_plan,
    pending_plan,
    read_evidence,
    read_progress,
    rotation_of,
    wanted_of,
    write_progress,
)
from tests.unit.host import documents as example

OLD, NEW, PRESHARED = example.KEYS[0], example.KEYS[3], example.KEYS[1]


def document(private: str = OLD, *, port: int = 51821, hosts: str = example.HOSTS) -> bytes:
    wg = example.WG.replace("ListenPort = 51820\n", f"ListenPort = 51820\n# NextPort = {port}\n")
    wg = wg.replace(fingerprint(OLD), fingerprint(private))
    return example.document(wg=wg, hosts=hosts).encode()


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A node that has committed its first keys."""
    places = Places(tmp_path)
    places.generations.mkdir(parents=True)
    places.volatile.mkdir(parents=True)
    store_keys(places.keys, {fingerprint(key): key for key in (OLD, NEW, PRESHARED)})
    _commit(places, document())
    return places


def _commit(places: Places, raw: bytes) -> Generation:
    generation = stage(places, parse_document(raw))
    keep_plan(places, generation)
    commit(places, generation.digest)
    return generation


def _rotating(places: Places) -> Plan:
    _commit(places, document(NEW))
    plan = pending_plan(places)
    assert plan is not None
    return plan


def _progress(places: Places, plan: Plan, phase: Phase) -> Progress:
    generation = load_link(places, places.current)
    assert generation is not None
    found = rotation_of(places, generation)
    assert found is not None
    assert found.plan == plan
    progress = replace(found.progress, phase=phase) if phase is not Phase.BOTH else found.progress
    write_progress(places, progress)
    return progress


def _private(places: Places) -> str | None:
    generation = load_link(places, places.current)
    assert generation is not None
    return wanted_of(places, generation).device.private_key


def test_a_trial_keeps_the_keys_of_before_and_the_commit_begins_the_rotation(places: Places) -> None:
    tried = stage(places, parse_document(document(NEW)))
    assert wanted_of(places, tried).device.private_key == fingerprint(OLD)
    assert pending_plan(places) is None
    plan = _rotating(places)
    assert (plan.before.private, plan.to.private) == (fingerprint(OLD), fingerprint(NEW))
    assert _private(places) == fingerprint(OLD)
    assert {fingerprint(OLD), fingerprint(NEW)} <= planned_key_names(places)


def test_another_document_goes_on_with_it_and_nothing_begins_it_again(places: Places) -> None:
    plan = _rotating(places)
    _progress(places, plan, Phase.BOTH)
    between = current_digest(places)
    other = _commit(places, document(NEW, hosts=example.HOSTS + "10.10.0.9 db-1\n"))
    assert pending_plan(places) == plan
    _progress(places, plan, Phase.LINGER)
    forget_former_keys(places, plan)
    remove_plans(places)
    end_progress(places)
    assert not list(places.state.rglob(PLAN)), "also not in the generation to which the node may go back"
    assert not places.plan_copy.exists()
    assert stored_keys(places.keys, [fingerprint(OLD)]) == {}
    assert between is not None
    commit(places, between)
    assert _private(places) == fingerprint(NEW), "gone back, the node has the new keys"
    assert other.digest != between


def test_the_end_goes_along_with_a_document_that_comes_in_between(places: Places) -> None:
    plan = _rotating(places)
    _progress(places, plan, Phase.LINGER)
    assert pending_plan(places) is None
    _commit(places, document(NEW, hosts=example.HOSTS + "10.10.0.9 db-1\n"))
    assert committed_plan(places) == plan, "its keys of before are still to be destroyed"
    assert read_progress(places, plan) is not None
    forget_former_keys(places, plan)
    assert stored_keys(places.keys, [fingerprint(OLD)]) == {}
    assert stored_keys(places.keys, [fingerprint(NEW), fingerprint(PRESHARED)]).keys() == {
        fingerprint(NEW),
        fingerprint(PRESHARED),
    }


def test_the_generation_of_before_goes_with_the_keys_that_only_it_needs(places: Places) -> None:
    before = current_digest(places)
    plan = _rotating(places)
    _progress(places, plan, Phase.LINGER)
    forget_former_keys(places, plan)
    forget_former_keys(places, plan)
    assert not places.previous.is_symlink()
    assert [folder.name for folder in places.generations.iterdir()] == [current_digest(places)]
    assert before != current_digest(places)


def test_a_damaged_plan_is_read_from_its_copy(places: Places) -> None:
    plan = _rotating(places)
    copy_plan(places, plan)
    places.plan.write_bytes(b"{")
    assert pending_plan(places) == plan
    assert _private(places) == fingerprint(OLD)
    assert {fingerprint(OLD), fingerprint(NEW)} <= planned_key_names(places)


def test_the_record_of_another_rotation_says_nothing_of_this_one(places: Places) -> None:
    first = _rotating(places)
    lingering = _progress(places, first, Phase.LINGER)
    remove_plans(places)
    write_progress(places, lingering)
    places.settled.write_text('{"settled": {}, "gone": ["web-2"]}')
    _commit(places, document(OLD))
    assert not places.rotation.exists()
    assert not places.settled.exists()
    plan = pending_plan(places)
    assert plan is not None
    assert plan != first
    assert _private(places) == fingerprint(NEW)


@pytest.mark.parametrize(("live", "phase"), [(OLD, Phase.BOTH), (NEW, Phase.REKEYED), (None, Phase.REKEYED)])
def test_where_the_record_is_damaged_the_interface_tells(
    places: Places, live: str | None, phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _rotating(places)
    _progress(places, plan, Phase.REKEYED)
    places.rotation.write_bytes(b"\0" * 100)

    def device(_tunnel: object) -> object:
        if live is None:
            raise AgentError(Answer.FAILED, "there is none")
        generation = as_generation(places, parse_document(document(NEW)))
        wanted = wanted_of(Places(places.root / "none"), generation).device
        return replace(wanted, private_key=clamped(live))

    monkeypatch.setattr(stored, "read_device", device)
    generation = load_link(places, places.current)
    assert generation is not None
    found = rotation_of(places, generation)
    assert found is not None
    assert found.progress.phase is phase
    assert found.progress.moved == (plan.changing if phase is Phase.REKEYED else frozenset())


def test_evidence_counts_for_the_keys_that_a_peer_is_to_get(places: Places) -> None:
    assert read_evidence(places, {"web-2": "K"}) == frozenset()
    places.settled.write_text('{"settled": {"web-2": "K", "db-1": "K"}, "gone": ["web-3", "web-9"]}')
    assert read_evidence(places, {"web-2": "K", "db-1": "L", "web-3": "M"}) == {"web-2", "web-3"}
    for damaged in ("[]", "{", '{"settled": [], "gone": 1}'):
        places.settled.write_text(damaged)
        assert read_evidence(places, {"web-2": "K"}) == frozenset()
