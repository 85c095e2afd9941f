"""Keys that are too old: which count, in which words, and the commands that help."""

from datetime import date, timedelta
from typing import Any

import pytest

from mesh import ages
from mesh.ages import Dates, OldKeys, dates_of, old_keys, old_keys_of

TODAY = date(2026, 11, 27)
AUGUST = date(2026, 8, 1)


def _old(dates: Dates, *, max_age: int = 90, out: tuple[str, ...] = ()) -> OldKeys | None:
    return old_keys(dates, max_age=max_age, taking_part=dates.nodes.keys() - set(out), day=TODAY)


def _told(dates: Dates, **more: Any) -> str:
    return str(_old(dates, **more))


def test_a_key_is_too_old_on_the_day_after_its_last_one() -> None:
    for days, old in ((-1, False), (0, False), (90, False), (91, True)):
        made = TODAY - timedelta(days=days)
        for dates in (Dates(nodes={"web-1": made}), Dates(preshared=made), Dates(ssh=made)):
            assert (_old(dates) is not None) is old


def test_a_key_without_a_day_is_not_old() -> None:
    assert _old(Dates()) is None
    found = _old(Dates(nodes={"web-1": AUGUST}))
    assert found is not None
    assert (found.preshared, found.ssh) == (None, None)


def test_all_that_is_old_is_named_with_its_day_and_the_command_that_helps() -> None:
    dates = Dates(nodes={"web-2": TODAY, "db-1": AUGUST, "web-1": AUGUST}, preshared=AUGUST, ssh=AUGUST)
    assert _told(dates) == (
        "keys are older than 90 days (rotation.maxAge): identities of db-1 and web-1 (made 2026-08-01); "
        "pre-shared keys (made 2026-08-01); SSH keys (made 2026-08-01). For other keys, run "
        "`mesh rotate db-1 web-1 --preshared --ssh`, then `pulumi up` (docs/rotation.md)."
    )


@pytest.mark.parametrize(
    ("dates", "kinds", "commands"),
    [
        (Dates(nodes={"a": AUGUST, "b": TODAY}), "identity of a (made 2026-08-01)", "`mesh rotate a`"),
        (
            Dates(nodes={"a": AUGUST, "b": date(2026, 7, 1), "c": TODAY}, preshared=TODAY),
            "identities of b (made 2026-07-01) and a (made 2026-08-01)",
            "`mesh rotate b a`",
        ),
        (Dates(nodes={"a": AUGUST, "b": AUGUST}), "identities of a and b (made 2026-08-01)", "`mesh rotate`"),
        (
            Dates(nodes={"a": AUGUST}, ssh=AUGUST),
            "identity of a (made 2026-08-01); SSH keys (made 2026-08-01)",
            "`mesh rotate` and `mesh rotate --ssh`",
        ),
        (Dates(preshared=AUGUST), "pre-shared keys (made 2026-08-01)", "`mesh rotate --preshared`"),
    ],
)
def test_the_command_asks_for_no_more_than_is_old(dates: Dates, kinds: str, commands: str) -> None:
    assert _told(dates) == (
        f"keys are older than 90 days (rotation.maxAge): {kinds}. For other keys, run {commands}, then "
        f"`pulumi up` (docs/rotation.md)."
    )


def test_a_node_that_takes_no_part_is_not_named_and_does_not_count() -> None:
    found = _old(Dates(nodes={"a": AUGUST, "b": AUGUST, "c": TODAY}), out=("b", "c"))
    assert found is not None
    assert [*found.nodes] == ["a"]
    assert found.rotations == ((),)
    assert _old(Dates(nodes={"a": AUGUST}), out=("a",)) is None


def test_a_large_mesh_has_a_short_message_and_the_whole_list_in_json() -> None:
    nodes = {f"{'n' * 45}{number:03}": AUGUST for number in range(99)}
    found = _old(Dates(nodes={**nodes, "new": TODAY}, preshared=AUGUST, ssh=AUGUST))
    assert found is not None
    assert "and 94 more nodes;" in str(found)
    assert "`mesh rotate NODE... --preshared --ssh` (`mesh check --json` has all names)" in str(found)
    assert len(str(found)) < 1000
    assert found.record()["nodes"] == dict.fromkeys(nodes, "2026-08-01")
    assert found.record()["rotate"] == [[*nodes, "--preshared", "--ssh"]]


def test_the_message_is_the_same_on_every_later_day() -> None:
    """The review of a preview has it, and `up` compares reviews after an approval that takes days."""
    dates = Dates(nodes={"a": AUGUST})
    later = [
        old_keys(dates, max_age=90, taking_part={"a"}, day=TODAY + timedelta(days=days)) for days in range(40)
    ]
    assert len({str(each) for each in later}) == 1


def test_the_record_says_which_keys_are_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ages, "today", lambda: TODAY)
    days = {"nodes": {"a": "2026-08-01", "b": "2026-08-01", "c": "2026-11-27"}, "preshared": "2026-08-01"}
    record = {"mesh": 1, "nodes": {}, "preshared": 1, "out": ["b"], "maxAge": 90.0, "dates": days}
    found = old_keys_of(record)
    assert found is not None
    assert found.record() | {"told": ""} == {
        "max_age": 90,
        "nodes": {"a": "2026-08-01"},
        "preshared": "2026-08-01",
        "ssh": None,
        "rotate": [["a", "--preshared"]],
        "told": "",
    }
    assert old_keys_of({**record, "maxAge": 118}) is None
    assert old_keys_of({key: value for key, value in record.items() if key != "maxAge"}) is None
    assert old_keys_of(None) is None


def test_what_is_no_day_counts_as_not_known() -> None:
    unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    kept = {"dates": {"nodes": {"a": unknown, "b": "2026-08-01"}, "preshared": unknown, "ssh": None}}
    assert dates_of(kept) == Dates(nodes={"b": AUGUST})
    assert dates_of({"mesh": 1}) == dates_of({"dates": unknown}) == Dates()
