"""What one node does of what it hears: the rules one by one. Whole rotations are simulated."""

import pytest

from mesh.host.records import replace
from mesh.host.rotation.messages import HAS_BACK, HEARD_MOVED, HEARS_NEW, HEARS_NEXT, Kind, Message, Way
from mesh.host.rotation.pairs import Pairs, Word
from mesh.host.rotation.peers import Known
from mesh.host.rotation.progress import Phase, Progress

NONE: frozenset[str] = frozenset()
FIRST = Progress("digest", Phase.BOTH, NONE, NONE, NONE, NONE, 0.0)
A, B = frozenset("a"), frozenset("b")
MOVED = replace(FIRST, moved=A)
REKEYED = replace(MOVED, phase=Phase.REKEYED)
BACK = replace(REKEYED, back=A, heard_back=A)
LINGER = replace(BACK, phase=Phase.LINGER)


def pairs(progress: Progress = FIRST, *, now: float = 0.0, shy: bool = False, names: str = "a") -> Pairs:
    known = [Known(name, f"10.10.0.{number}", plain=False, shy=shy) for number, name in enumerate(names, 2)]
    return Pairs(known, progress, now=now, next_port=51821)


def word(way: Way, hears: int = 0, kind: Kind = Kind.ROUTE) -> Message:
    return Message(kind, way, way if kind is Kind.ROUTE else Way(way - 1), hears, 0)


def hear(one: Pairs, way: Way, hears: int, times: "list[float]", name: str = "a") -> None:
    for time in times:
        one.heard(name, word(way, hears, Kind.PROBE), on_next=way is Way.NEXT, now=time)


def after_start(one: Pairs, *, now: float = 0.0) -> "list[tuple[Kind, Way, Way, int]]":
    return [(each.kind, each.way, each.route, each.hears) for each in one.words(now)]


@pytest.mark.parametrize(
    ("times", "now", "enough"),
    [
        ([0.0, 0.25, 0.5, 0.75, 1.0], 1.0, True),
        ([0.0, 0.25, 0.5, 0.75], 1.0, False),
        ([0.1, 0.25, 0.5, 0.75, 1.0], 1.0, False),
        ([0.1, 0.25, 0.5, 0.75, 1.0], 1.1, True),
        ([0.0, 0.5, 1.0, 2.0, 2.5], 2.5, True),
        ([0.0, 0.5, 1.0, 2.0, 2.6], 2.6, False),
        ([0.0, 0.25, 0.5, 0.75, 1.0], 3.0, False),
    ],
)
@pytest.mark.parametrize(
    ("begin", "way", "bit"), [(FIRST, Way.NEXT, HEARS_NEXT), (REKEYED, Way.NEW, HEARS_NEW)]
)
def test_five_answers_in_time_are_evidence(
    begin: Progress, way: Way, bit: int, times: "list[float]", now: float, *, enough: bool
) -> None:
    one = pairs(begin)
    hear(one, way, bit, times)
    step = one.next(now)
    expected = replace(begin, moved=A) if way is Way.NEXT else replace(begin, back=A)
    assert step == (expected if enough else None)


TIMES = [0.0, 0.3, 0.6, 0.9, 1.2]


@pytest.mark.parametrize("begin", [FIRST, REKEYED])
def test_what_does_not_say_that_it_hears_is_no_evidence(begin: Progress) -> None:
    for bits in (0, HEARD_MOVED, HEARS_NEW if begin is FIRST else HEARS_NEXT):
        one = pairs(begin)
        hear(one, Way.NEXT if begin is FIRST else Way.NEW, bits, TIMES)
        assert one.next(1.2) is None


def test_a_message_counts_on_the_interface_that_it_speaks_of() -> None:
    one = pairs()
    for time in TIMES:
        one.heard("a", word(Way.NEXT, HEARS_NEXT), on_next=False, now=time)
        one.heard("a", word(Way.OLD, HEARS_NEXT), on_next=True, now=time)
        one.heard("a", word(Way.NEW, HEARS_NEW), on_next=False, now=time)
        one.heard("b", word(Way.NEXT, HEARS_NEXT), on_next=True, now=time)
        one.heard("a", Message(Kind.ROUTE, Way.NEXT, Way.OLD, HEARS_NEXT, 0), on_next=True, now=time)
    assert one.next(1.2) is None
    assert one.waits(1.2) == {"a": "no word on port 51821"}


def test_nothing_is_said_before_it_is_done() -> None:
    one = pairs()
    hear(one, Way.NEXT, HEARS_NEXT, TIMES)
    step = one.next(1.2)
    assert step == MOVED
    assert one.next(1.2) == step
    assert (Kind.ROUTE, Way.OLD, Way.OLD, HEARS_NEXT) in after_start(one, now=1.2)
    one.recorded(step, now=1.3)
    assert after_start(one, now=1.3) == [(Kind.ROUTE, Way.NEXT, Way.NEXT, HEARS_NEXT)]
    assert one.next(1.3) is None


def test_a_re_key_waits_for_a_word_of_each_by_the_way_itself_and_three_seconds() -> None:
    one = pairs(replace(FIRST, moved=A | B), names="ab")
    one.heard("a", word(Way.NEXT), on_next=True, now=1.0)
    one.heard("b", word(Way.NEXT, kind=Kind.PROBE), on_next=True, now=1.0)
    assert one.next(100.0) is None
    one.heard("b", word(Way.NEXT), on_next=True, now=101.0)
    one.heard("a", word(Way.NEXT), on_next=True, now=103.0)
    assert one.next(103.9) is None
    assert one.next(104.0) == replace(one.progress, phase=Phase.REKEYED)


def test_a_re_key_waits_until_the_node_itself_sends_to_all_by_the_next_way() -> None:
    one = pairs(MOVED, names="ab")
    for name in "ab":
        one.heard(name, word(Way.NEXT), on_next=True, now=1.0)
    assert one.next(100.0) is None


def test_what_was_heard_before_a_restart_is_heard_again() -> None:
    one = pairs(MOVED, now=50.0)
    assert one.next(100.0) is None


def test_the_second_interface_goes_when_all_are_back_on_both_sides_and_after_three_seconds() -> None:
    one = pairs(replace(REKEYED, back=A))
    one.heard("a", word(Way.NEW), on_next=False, now=5.0)
    step = one.next(5.0)
    assert step == BACK
    assert after_start(one, now=5.0)[0][3] & HAS_BACK == 0
    one.recorded(step, now=5.1)
    assert after_start(one, now=5.1)[0][3] & HAS_BACK
    assert one.next(7.9) is None
    assert one.next(8.0) == LINGER
    again = pairs(BACK, now=20.0)
    assert again.next(22.9) is None
    assert again.next(23.0) == LINGER


def test_the_end_is_when_each_peer_has_confirmed_it_and_three_seconds_later() -> None:
    one = pairs(LINGER)
    assert not one.done(599.0)
    one.heard("a", word(Way.NEW, HAS_BACK), on_next=False, now=590.0)
    step = one.next(590.0)
    assert step == replace(LINGER, confirmed=A)
    one.recorded(step, now=590.0)
    assert not one.done(592.9)
    assert one.done(593.0)
    assert one.waits(593.0) == {}


def test_the_end_comes_after_ten_minutes_even_if_a_peer_is_away() -> None:
    one = pairs(BACK)
    assert not one.done(10_000.0)
    one.recorded(LINGER, now=100.0)
    assert not one.done(699.9)
    assert one.done(700.0)


@pytest.mark.parametrize(
    ("progress", "after"),
    [
        (FIRST, replace(FIRST, phase=Phase.REKEYED)),
        (REKEYED, replace(REKEYED, phase=Phase.LINGER)),
    ],
)
def test_evidence_frees_from_a_peer_that_is_at_its_end(progress: Progress, after: Progress) -> None:
    one = pairs(progress)
    one.settled(["a", "stranger"])
    step = one.next(1.0)
    assert step == replace(progress, settled=A)
    one.recorded(step, now=1.0)
    assert one.next(1.0) == replace(after, settled=A)
    assert one.words(10.0) == []
    assert one.route("a") is Way.NEW


def test_who_is_new_is_spoken_to_and_not_waited_for() -> None:
    one = Pairs([Known("a", "10.10.0.2", plain=True, shy=True)], FIRST, now=0.0, next_port=51821)
    assert after_start(one) == [(Kind.ROUTE, Way.NEXT, Way.NEXT, 0)]
    step = one.next(0.0)
    assert step == replace(FIRST, phase=Phase.REKEYED)
    one.recorded(step, now=0.0)
    assert after_start(one) == [(Kind.ROUTE, Way.NEW, Way.NEW, 0)]
    assert one.next(0.0) == replace(FIRST, phase=Phase.LINGER)


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (FIRST, [(Kind.ROUTE, Way.OLD), (Kind.PROBE, Way.NEXT)]),
        (MOVED, [(Kind.ROUTE, Way.NEXT)]),
        (REKEYED, [(Kind.ROUTE, Way.NEXT), (Kind.PROBE, Way.NEW)]),
        (BACK, [(Kind.ROUTE, Way.NEW)]),
        (LINGER, [(Kind.ROUTE, Way.NEW)]),
    ],
)
def test_words_say_how_all_packets_go_and_probe_the_way_after(
    progress: Progress, expected: "list[tuple[Kind, Way]]"
) -> None:
    assert [(each.kind, each.way) for each in pairs(progress).words(0.0)] == expected


def test_the_higher_end_lets_the_other_shake_hands_first() -> None:
    for progress, way in ((FIRST, Way.NEXT), (REKEYED, Way.NEW)):
        one = pairs(progress, shy=True)
        assert [each.kind for each in one.words(0.0)] == [Kind.ROUTE]
        one.heard("a", word(way, kind=Kind.PROBE), on_next=way is Way.NEXT, now=0.3)
        assert [each.kind for each in one.words(0.3)] == [Kind.ROUTE, Kind.PROBE]
        assert [each.kind for each in pairs(progress, shy=True).words(1.4)] == [Kind.ROUTE]
        assert [each.kind for each in pairs(progress, shy=True).words(1.5)] == [Kind.ROUTE, Kind.PROBE]
    rekeyed = pairs(MOVED, shy=True)
    rekeyed.recorded(REKEYED, now=50.0)
    assert len(rekeyed.words(51.4)) == 1
    assert len(rekeyed.words(51.7)) == 2


def test_a_peer_is_told_that_it_is_heard_for_as_long_as_it_is() -> None:
    one = pairs()
    assert one.words(0.0)[0] == Word("a", Kind.ROUTE, Way.OLD, Way.OLD, 0)
    one.heard("a", word(Way.NEXT), on_next=True, now=1.0)
    assert one.words(2.5)[0].hears == HEARS_NEXT | HEARD_MOVED
    assert one.words(2.8)[0].hears == HEARD_MOVED
    rekeyed = pairs(REKEYED)
    rekeyed.heard("a", word(Way.NEW, kind=Kind.PROBE), on_next=False, now=1.0)
    assert rekeyed.words(2.0)[0].hears == HEARS_NEW


def sent(one: Pairs, begin: float, end: float) -> int:
    """Follow `due` and return how many times words were sent."""
    now, found = begin, 0
    while now < end:
        found += bool(one.words(now))
        now += max(one.due(now), 0.001)
    return found


def test_words_are_slow_after_a_minute_without_progress_and_fast_again_at_the_first_word() -> None:
    one = pairs()
    assert sent(one, 0.0, 60.0) == pytest.approx(240, abs=2)
    assert sent(one, 60.5, 160.5) == pytest.approx(50, abs=2)
    one.heard("a", word(Way.OLD), on_next=False, now=200.0)
    assert one.due(200.0) <= 0.25
    assert sent(one, 200.0, 260.0) == pytest.approx(240, abs=2)


def test_the_same_words_in_a_hold_do_not_make_it_fast_again() -> None:
    one, fast = pairs(MOVED, names="ab"), 0
    for time in range(0, 400, 2):
        hear(one, Way.NEXT, HEARS_NEXT, [time])
        fast += sent(one, time, time + 2.0) > 2
    assert fast == pytest.approx(30, abs=2)


def test_a_step_makes_words_to_all_fast() -> None:
    one = pairs(names="ab")
    assert one.due(500.0) == 0.0
    one.words(500.0)
    assert one.due(500.0) == 2.0
    one.recorded(MOVED, now=501.0)
    assert {each.peer for each in one.words(501.0)} == {"a", "b"}
    assert one.due(501.0) == 0.25


@pytest.mark.parametrize(
    ("progress", "heard", "why"),
    [
        (FIRST, [], "no word on port 51821"),
        (FIRST, [word(Way.OLD)], "no word on port 51821"),
        (FIRST, [word(Way.NEXT)], "heard, not heard there"),
        (FIRST, [word(Way.NEXT, HEARS_NEXT)], "heard for too short a time"),
        (MOVED, [word(Way.OLD)], "still sends by the old way"),
        (MOVED, [], "no word on port 51821"),
        (REKEYED, [word(Way.NEXT)], "no word on the re-keyed wg0"),
        (REKEYED, [word(Way.NEW)], "heard, not heard there"),
        (replace(REKEYED, back=A), [word(Way.NEXT)], "still sends by wg0-next"),
    ],
)
def test_it_is_said_why_a_peer_is_waited_for(progress: Progress, heard: "list[Message]", why: str) -> None:
    one = pairs(progress)
    for message in heard:
        one.heard("a", message, on_next=message.way is Way.NEXT, now=1.0)
    assert one.waits(2.0) == {"a": why}


def test_nobody_is_waited_for_who_has_done_its_part() -> None:
    one = pairs(MOVED)
    one.heard("a", word(Way.NEXT), on_next=True, now=1.0)
    assert one.waits(1.0) == {}
