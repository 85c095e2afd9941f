"""What `make mutants` makes of mutmut's answers."""

import tomllib
from pathlib import Path

import pytest

from tools.mutants import report, statuses

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]


def _found(killed: int, **others: int) -> dict[str, str]:
    """So many killed mutants of mesh.plan.keys, and others of mesh.plan.peers, by what became of them."""
    outcomes = [("keys", "killed")] * killed
    outcomes += [("peers", name.replace("_", " ")) for name, count in others.items() for _ in range(count)]
    return {
        f"mesh.plan.{module}.x_f__mutmut_{index}": status for index, (module, status) in enumerate(outcomes)
    }


def test_what_mutmut_prints_is_read() -> None:
    printed = (
        "    mesh.plan.access.xǁAccessPlanǁlets_in__mutmut_1: survived\n"
        "    mesh.plan.keys.x_fingerprint__mutmut_2: no tests\n"
    )
    assert statuses(printed) == {
        "mesh.plan.access.xǁAccessPlanǁlets_in__mutmut_1": "survived",
        "mesh.plan.keys.x_fingerprint__mutmut_2": "no tests",
    }


def test_what_mutmut_has_never_printed_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="not a line of `mutmut results`: 'oops'"):
        statuses("oops\n")


def test_each_module_has_its_score_and_each_survivor_is_named() -> None:
    text, enough = report(_found(19, survived=1))
    assert enough
    assert text.splitlines() == [
        "  mesh.plan.peers.x_f__mutmut_19: survived",
        "100.0 %  mesh.plan.keys (19 of 19 killed)",
        "  0.0 %  mesh.plan.peers (0 of 1 killed)",
        " 95.0 %  all (19 of 20 killed)",
    ]


def test_nine_of_ten_are_enough_and_a_little_less_is_not() -> None:
    assert report(_found(900, survived=100))[1]
    assert not report(_found(899, survived=101))[1]


def test_a_mutant_that_runs_for_ever_is_killed() -> None:
    assert report(_found(0, timeout=1))[1]


@pytest.mark.parametrize(
    "status",
    ["survived", "no_tests", "skipped", "suspicious", "segfault", "not_checked", "caught_by_type_check"],
)
def test_any_other_outcome_counts_against_the_tests(status: str) -> None:
    text, enough = report(_found(0, **{status: 1}))
    assert not enough
    assert text.splitlines()[0] == f"  mesh.plan.peers.x_f__mutmut_0: {status.replace('_', ' ')}"
    assert text.endswith("fewer than 90 % were killed; CONTRIBUTING.md says how to look at a survivor")


def test_no_mutants_are_no_success() -> None:
    assert not report({})[1]


def test_mutmut_mutates_rooms_and_runs_tests_that_there_are() -> None:
    for pattern in CONFIG["only_mutate"]:
        assert list(ROOT.glob(pattern)), pattern
    for folder in (*CONFIG["also_copy"], *CONFIG["pytest_add_cli_args_test_selection"]):
        assert (ROOT / folder).is_dir(), folder
