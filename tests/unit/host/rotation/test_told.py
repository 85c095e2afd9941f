"""What a node says of its rotation at each moment, also before and after there is anything to say."""

from pathlib import Path

import pytest

from mesh.host.places import Places
from mesh.host.records import replace
from mesh.host.rotation.progress import Phase
from mesh.host.rotation.stored import pending_plan, rotation_of, write_progress
from mesh.host.rotation.told import rotation_report, tell_pairs, tell_trouble, waits_in_words
from tests.unit.host.rotation.test_stored import NEW, _commit, document
from tests.unit.host.rotation.test_stored import places as places  # noqa: PLC0414 - a fixture


def _waits(places: Places) -> str | None:
    report = rotation_report(places)
    return None if report is None else waits_in_words(report)


def test_a_pair_is_waited_for_from_the_commit_until_the_end(places: Places) -> None:
    assert _waits(places) is None
    generation = _commit(places, document(NEW))
    assert _waits(places) == "web-2: begins in a moment"
    found = rotation_of(places, generation)
    assert found is not None
    write_progress(places, found.progress)
    assert _waits(places) == "web-2: begins in a moment", "nothing is told yet"
    tell_pairs(places, found.progress, {"web-2": "no word on port 51821"})
    assert _waits(places) == "web-2: no word on port 51821"
    begun = rotation_report(places)
    assert begun is not None
    assert begun.pairs["web-2"].former == found.plan.before.peers["web-2"].public_key
    moved = replace(found.progress, moved=frozenset(["web-2"]))
    write_progress(places, moved)
    tell_pairs(places, moved, {})
    report = rotation_report(places)
    assert report is not None
    assert (report.pairs["web-2"].route, report.pairs["web-2"].waits) == ("next", "")
    places.pairs.unlink()
    assert _waits(places) == "web-2: begins in a moment", "after a reboot"
    write_progress(places, replace(moved, phase=Phase.LINGER))
    assert _waits(places) == ""


def test_what_keeps_the_node_from_going_on_is_told_for_every_pair(places: Places) -> None:
    generation = _commit(places, document(NEW))
    found = rotation_of(places, generation)
    assert found is not None
    write_progress(places, found.progress)
    tell_trouble(places, "tc is not installed")
    assert _waits(places) == "web-2: tc is not installed"
    assert pending_plan(places) is not None


@pytest.mark.parametrize("damaged", ["", "[]", '{"pairs": 1}', '{"plan": "x", "pairs": {}}'])
def test_a_damaged_word_is_none(places: Places, damaged: str, tmp_path: Path) -> None:
    generation = _commit(places, document(NEW))
    found = rotation_of(places, generation)
    assert found is not None
    write_progress(places, found.progress)
    places.pairs.write_text(damaged)
    assert _waits(places) == "web-2: begins in a moment"
    assert places.root == tmp_path
