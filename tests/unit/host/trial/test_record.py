"""The record of a trial: what the plain commands of the way back find in it as text."""

import json
from pathlib import Path

import pytest

from mesh.host.places import Places
from mesh.host.records import replace
from mesh.host.system.run import boot_id, since_boot
from mesh.host.trial.record import Phase, Trial, load_trial, save_trial


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path)
    places.volatile.mkdir(parents=True)
    return places


def trial(phase: Phase) -> Trial:
    return Trial("0123456789abcdef", "d" * 64, phase, boot_id(), since_boot() + 50, 1.0, repair=False)


@pytest.mark.parametrize("phase", Phase)
def test_a_phase_is_a_word_that_a_shell_can_change(places: Places, phase: Phase) -> None:
    kept = save_trial(places, trial(phase))
    assert f'"phase": "{phase.value}"' in places.trial.read_text()
    assert load_trial(places) == kept
    text = places.trial.read_text()
    places.trial.write_text(text.replace(f'"phase": "{phase.value}"', '"phase": "rolling-back"'))
    assert load_trial(places) == replace(kept, phase=Phase.ROLLING_BACK)


def test_a_trial_is_in_force_from_its_start_until_it_goes_back() -> None:
    assert [phase for phase in Phase if trial(phase).in_force] == [Phase.RUNNING, Phase.LIVE]


def test_a_phase_that_is_none_is_a_trial_that_is_over(places: Places) -> None:
    save_trial(places, trial(Phase.LIVE))
    places.trial.write_text(json.dumps({**json.loads(places.trial.read_text()), "phase": "asleep"}))
    found = load_trial(places)
    assert found is not None
    assert (found.phase, found.seconds_left) == (Phase.ROLLING_BACK, 0)
