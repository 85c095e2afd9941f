"""The page says what was measured, and what was not."""

from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.progress import Failures
from bench.rotation import WITHOUT
from bench.tables import certain

FIGURES = ("mbit", "packets", "p50", "p99")
TABLES = ("table", "tracked", "link-table", "link-tracked")
RUN = {
    f"{step}{figure}": 2.0
    for step in ("first", "unchanged", "added")
    for figure in ("", " ssh", " host", " operator")
} | {"lost": 0}


def _page(folder: Path, **sections: Any) -> str:
    common: dict[str, Any] = {
        "date": "2026-01-01", "machine": "a machine", "failed": {},
        "repeats": 1, "long_repeats": 1, "only": [],
    }  # fmt: skip
    page = folder / "page.md"
    report.write({**common, **sections}, folder / "results.json", page)
    return page.read_text()


def test_ours_is_a_part_of_the_time_of_each_rival(tmp_path: Path) -> None:
    sizes = {"ours": {"10": [RUN]}, "playbook": {"10": [{**RUN, "first": 8.0}]}, "mitogen": {"10": [RUN]}}
    text = _page(tmp_path, compare={"sizes": sizes, "failed": {}})
    assert "| all pairs ping | 10 | 0.25 | at most 0.3 | 1.00 |\n" in text
    assert "Not measured" not in text


def test_a_rival_that_fails_is_named_with_the_reason_and_the_others_have_figures(
    tmp_path: Path,
) -> None:
    sizes = {"ours": {"3": [RUN]}, "playbook": {"3": [RUN]}, "pyinfra": {}}
    failed = {"pyinfra": "BenchError: pyinfra failed (1):\nno module"}
    text = _page(tmp_path, compare={"sizes": sizes, "failed": failed}, failed={"tunnel": "BenchError: no"})
    assert "- section tunnel: `BenchError: no`\n" in text
    assert "- pyinfra in section compare: `BenchError: pyinfra failed (1): no module`\n" in text
    assert "| all pairs ping | 3 | 2.0 s | 2.0 s | - |\n" in text


def test_a_rotation_is_compared_with_the_same_change_without_one(tmp_path: Path) -> None:
    """All losses count, those for which a kernel had no room, too."""
    whole = {"sent": 1000, "lost": 0, "no_room": 0, "gap": 50.0, "seconds": 12.4}
    runs = [whole, {**whole, "lost": 7, "no_room": 7, "gap": 90.0}, {**whole, "gap": 60.0}]
    plain = [{**whole, "lost": lost, "gap": 4000.0} for lost in (300, 400, 500)]
    rotation = {"size": 5, "rate": 500.0, "late": 5.0, "measured": {"one identity": runs, WITHOUT: plain}}
    text = _page(tmp_path, rotation=rotation, only=["rotation"])
    assert '`make bench BENCH="--only rotation"` measures all' in text
    assert "the 20 ordered pairs" in text
    assert "| one identity | 7 of 3 000 | 7 | 60 ms (50 to 90) | 12 s | 67 |\n" in text
    assert f"| {WITHOUT} | 1 200 of 3 000 | 0 | 4000 ms | 12 s | 1 |\n" in text


def test_the_cost_of_the_table_is_a_median_with_its_confidence_interval(tmp_path: Path) -> None:
    """Of 20 values, the sixth and the fifteenth bound the median (Conover, table A3)."""
    bare = {f"{way} {name}": 100.0 for way in ("bare", "again", "link") for name in FIGURES}
    turns = [
        {**bare, **{f"{way} {name}": 100.0 + each for way in TABLES for name in FIGURES}}
        for each in range(20)
    ]
    text = _page(tmp_path, tunnel=turns, only=["tunnel"])
    assert "The measurements take 20 turns." in text
    assert "| a tunnel with our table | 110 Mbit/s (105 to 114) | 110 per s (105 to 114) |" in text
    rate, time, nothing = "-9.5 % (-14.0 to -5.0)", "9.5 us (5.0 to 14.0)", "0.0 us (0.0 to 0.0)"
    assert f"| TCP throughput | {rate} | at most 2 % | {rate} |" in text
    assert f"| round trip, p99 | {time} | at most 5 us | {time} | {nothing} | {time} | {time} |" in text


@pytest.mark.parametrize(("count", "outside"), [(1, 0), (5, 0), (6, 0), (9, 1), (20, 5), (60, 21), (100, 39)])
def test_a_confidence_interval_leaves_out_as_many_values_as_tables_say(count: int, outside: int) -> None:
    values = [{"it": float(number)} for number in range(count)]
    assert certain(values, "it", "us").endswith(f"({outside}.0 to {count - 1 - outside}.0)")


def test_a_measurement_that_fails_does_not_end_the_others() -> None:
    told: list[str] = []
    failures = Failures(told.append)
    with failures.noted("tunnel"):
        raise OSError("no device")
    assert failures.found == {"tunnel": "OSError: no device"}
    assert told == ["FAILED tunnel: OSError: no device"]
    with pytest.raises(KeyboardInterrupt), failures.noted("growth"):
        raise KeyboardInterrupt
