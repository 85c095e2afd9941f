"""The days of keys over several runs: kept with the key, or of the run that makes another; never a change."""

import copy
from datetime import date
from typing import Any

import pulumi
import pytest
from pulumi.runtime.rpc import UNKNOWN

from mesh import ages
from mesh.program import dates
from tests.unit.program.recording import Recording, run

MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "rotation": {"maxAge": "90d"},
    "nodes": {"a": {"address": "10.10.0.1"}, "b": {"address": "10.10.0.2"}},
}
FIRST, LATER, LAST = date(2026, 8, 1), date(2026, 9, 1), date(2026, 11, 27)


def _mesh(rotation: Any = None, **nodes: dict[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(MESH)
    found["rotation"] |= rotation or {}
    for name, keys in nodes.items():
        found["nodes"][name] = {**found["nodes"].get(name, {}), **keys}
    return found


class _Clock:
    day = FIRST

    def __call__(self) -> date:
        return self.day


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(ages, "today", clock)
    monkeypatch.setattr(dates, "today", clock)
    return clock


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings about old keys."""
    words: list[str] = []
    monkeypatch.setattr(
        pulumi.log, "warn", lambda said, *_: words.append(said) if "older than" in said else None
    )
    return words


@pytest.fixture
def made() -> Recording:
    """A mesh that was made on the first day."""
    return run(MESH)


def _kept(recording: Recording) -> Any:
    return recording["generations"].inputs["input"]


def _days(recording: Recording) -> Any:
    return _kept(recording)["dates"]


def _all(day: date | str, *nodes: str) -> dict[str, Any]:
    return {"nodes": dict.fromkeys(nodes, str(day)), "preshared": str(day), "ssh": str(day)}


def test_a_mesh_without_a_highest_age_keeps_no_days_at_all() -> None:
    without = {**MESH, "rotation": {}}
    numbers = {"mesh": 1, "nodes": {}, "preshared": 1, "out": []}
    assert _kept(run(without)) == numbers
    assert _kept(run(without, existing=run(MESH))) == numbers
    assert "generations" not in run({key: MESH[key] for key in ("cidr", "nodes")}).resources


def test_new_keys_have_the_day_of_their_run(made: Recording) -> None:
    assert _kept(made) == {
        "mesh": 1,
        "nodes": {},
        "preshared": 1,
        "out": [],
        "maxAge": 90,
        "dates": _all(FIRST, "a", "b"),
    }
    assert "dates" not in made["rotation"].inputs["input"], "no key is in force by a day"


@pytest.mark.parametrize("preview", [True, False])
def test_a_run_that_changes_nothing_shows_no_change_on_any_later_day(
    made: Recording, clock: _Clock, *, preview: bool
) -> None:
    for clock.day in (LATER, LAST):
        again = run(MESH, existing=made, preview=preview)
        assert _kept(again) == _kept(made)
        assert again["rotation"].inputs == made["rotation"].inputs
    assert _kept(run(MESH, existing=run(MESH, existing=made))) == _kept(made)


def test_the_day_of_a_key_that_is_not_made_yet_is_unknown_in_a_preview(
    made: Recording, clock: _Clock
) -> None:
    assert _days(run(MESH, preview=True)) == _all(UNKNOWN, "a", "b")
    clock.day = LATER
    raised = _mesh(a={"generation": 2})
    shown = run(raised, existing=made, preview=True, replaced=["a-identity"])
    assert _days(shown) == {**_all(FIRST, "b"), "nodes": {"a": UNKNOWN, "b": str(FIRST)}}
    done = run(raised, existing=made, replaced=["a-identity"])
    assert _days(done)["nodes"] == {"a": str(LATER), "b": str(FIRST)}


@pytest.mark.parametrize(
    ("rotation", "nodes", "new"),
    [
        ({"generation": 2}, {}, {"a", "b"}),
        ({}, {"b": {"generation": 5}}, {"b"}),
        ({"preshared": 2}, {}, {"preshared"}),
        ({"ssh": 2}, {}, {"ssh"}),
        ({"generation": 2, "preshared": 2, "ssh": 2}, {}, {"a", "b", "preshared", "ssh"}),
        ({"maxAge": "30d"}, {}, set()),
    ],
)
def test_keys_that_a_run_replaces_have_its_day_and_all_others_keep_theirs(
    made: Recording, clock: _Clock, rotation: Any, nodes: Any, new: set[str]
) -> None:
    clock.day = LATER
    rotated = _days(run(_mesh(rotation, **nodes), existing=made))
    found = {**rotated["nodes"], "preshared": rotated["preshared"], "ssh": rotated["ssh"]}
    assert {key for key, day in found.items() if day == str(LATER)} == new
    assert set(found.values()) <= {str(FIRST), str(LATER)}


def test_the_first_run_with_a_highest_age_counts_for_keys_that_are_there(clock: _Clock) -> None:
    before = run({**MESH, "rotation": {"generation": 2}})
    clock.day = LATER
    with_age = {**MESH, "rotation": {"generation": 2, "maxAge": "90d"}}
    assert _days(run(with_age, existing=before, preview=True)) == _all(UNKNOWN, "a", "b")
    added = run(with_age, existing=before)
    assert _days(added) == _all(LATER, "a", "b")
    clock.day = LAST
    assert _days(run(with_age, existing=added)) == _all(LATER, "a", "b")


def test_the_days_are_forgotten_with_the_highest_age(made: Recording, clock: _Clock) -> None:
    removed = run({**MESH, "rotation": {}}, existing=made)
    clock.day = LAST
    assert _days(run(MESH, existing=removed)) == _all(LAST, "a", "b")


def test_an_added_node_has_a_day_of_its_own_and_one_that_leaves_loses_it(
    made: Recording, clock: _Clock
) -> None:
    clock.day = LATER
    added = run(_mesh(c={"address": "10.10.0.3"}), existing=made)
    assert _days(added)["nodes"] == {"a": str(FIRST), "b": str(FIRST), "c": str(LATER)}
    assert _days(added)["preshared"] == _days(added)["ssh"] == str(FIRST)
    left = run(MESH, existing=added)
    assert _days(left) == _days(made)
    clock.day = LAST
    assert _days(run(_mesh(c={"address": "10.10.0.3"}), existing=left))["nodes"]["c"] == str(LAST)


def test_a_renamed_node_keeps_its_day_in_that_run_and_later(made: Recording, clock: _Clock) -> None:
    clock.day = LATER
    renamed = _mesh(front={"address": "10.10.0.1", "formerly": ["a"]})
    del renamed["nodes"]["a"]
    first = run(renamed, existing=made)
    assert _days(first)["nodes"] == {"front": str(FIRST), "b": str(FIRST)}
    second = run(renamed, existing=first)
    assert _kept(second) == _kept(first)
    renamed["nodes"]["front"]["generation"] = 2
    assert _days(run(renamed, existing=second))["nodes"] == {"front": str(LATER), "b": str(FIRST)}


def test_a_renamed_node_with_a_number_of_its_own_keeps_its_day(clock: _Clock) -> None:
    before = run(_mesh(a={"generation": 3}))
    clock.day = LATER
    renamed = _mesh(front={"address": "10.10.0.1", "formerly": ["a"], "generation": 3})
    del renamed["nodes"]["a"]
    assert _days(run(renamed, existing=before))["nodes"]["front"] == str(FIRST)


def test_a_node_that_takes_no_part_keeps_its_day(made: Recording, clock: _Clock) -> None:
    clock.day = LATER
    out = run(_mesh(a={"enabled": False}), existing=made)
    assert _days(out) == _days(made)
    assert _days(run(MESH, existing=out)) == _days(made)


# ------------------------------------------------------------------ warnings


@pytest.mark.parametrize("preview", [True, False])
def test_preview_and_up_name_what_is_too_old(
    made: Recording, clock: _Clock, told: list[str], *, preview: bool
) -> None:
    clock.day = date(2026, 10, 30)
    run(MESH, existing=made, preview=preview)
    assert told == []
    clock.day = date(2026, 10, 31)
    run(MESH, existing=made, preview=preview)
    (words,) = told
    assert words == (
        "keys are older than 90 days (rotation.maxAge): identities of a and b (made 2026-08-01); pre-shared "
        "keys (made 2026-08-01); SSH keys (made 2026-08-01). For other keys, run `mesh rotate` and "
        "`mesh rotate --preshared --ssh`, then `pulumi up` (docs/rotation.md)."
    )


def test_what_this_run_replaces_is_not_named(made: Recording, clock: _Clock, told: list[str]) -> None:
    clock.day = LAST
    run(_mesh({"preshared": 2}, a={"generation": 2}), existing=made, preview=True)
    assert [words.partition(": ")[2].partition(". For")[0] for words in told] == [
        "identity of b (made 2026-08-01); SSH keys (made 2026-08-01)"
    ]
    assert "`mesh rotate b --ssh`" in told[0]
    told.clear()
    run(_mesh({"generation": 2, "preshared": 2, "ssh": 2}), existing=made, preview=True)
    assert told == []


def test_a_node_that_takes_no_part_is_not_named(made: Recording, clock: _Clock, told: list[str]) -> None:
    clock.day = LAST
    run(_mesh({"preshared": 2, "ssh": 2}, a={"enabled": False}), existing=made)
    assert ["identity of b (made" in words for words in told] == [True]
    assert "`mesh rotate`" in told[0], "no other node takes part"


def test_the_warning_belongs_to_its_mesh(
    made: Recording, clock: _Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners: list[Any] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda _, resource=None: owners.append(resource))
    clock.day = LAST
    again = run(MESH, existing=made)
    assert owners == [again.mesh]
